"""What the connections of one worker share."""

from collections.abc import Callable
from dataclasses import field
from typing import TYPE_CHECKING

from gtunnel.net.legs import Scratch
from gtunnel.net.program import Programs
from gtunnel.net.responders import Responders
from gtunnel.net.wrappers import Wrappers
from gtunnel.tunnel.census import Register
from gtunnel.tunnel.sessionservers import SessionServers
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.splicing import Pipes
from gtunnel.values import dataclass

if TYPE_CHECKING:
    from gtunnel.tunnel.connection import Connection


@dataclass(slots=True)
class Workplace:
    """Buffers, the id sequence of all workers, what OCSP responders said, where sessions are kept, the programs that
    run, and who is there. `register` counts connections, over all workers, where there are limits; `max_connections` is
    the limit of all services. `wrappers` is there where a service wants to ask them. `account` takes the access log's
    lines, where there is one; `accepted` is how many connections there have been."""

    sequence: SharedCounter
    register: Register | None = None
    max_connections: int | None = None
    wrappers: Wrappers | None = None
    scratch: Scratch = field(default_factory=Scratch)
    responders: Responders = field(default_factory=Responders)
    session_servers: SessionServers = field(default_factory=SessionServers)
    pipes: Pipes = field(default_factory=Pipes)
    programs: Programs = field(default_factory=Programs)
    connections: "set[Connection]" = field(default_factory=set)
    account: Callable[[str], None] | None = None
    accepted: int = 0
