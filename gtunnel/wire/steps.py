"""The steps that a protocol asks for. A negotiation is a generator of them; one loop that owns the sockets drives it.

A protocol owns the order of a connection: whether TLS starts before or after the target is connected is the order in
which it yields. After its last step the relay begins.

A step's answer is what `yield` returns: the bytes of `ReceiveLine`, `Receive` and `Glance`, and b"" of all others. A
step that fails raises where it was yielded, so a protocol that has something to say about it can (SOCKS), and raises it
again.
"""

import enum
import re
from collections.abc import Callable, Generator
from dataclasses import field

from gtunnel.address import Endpoint, HostPort, OriginalDestination, SocketAddress
from gtunnel.values import dataclass

# A line, or a message of known length, that a peer may make us keep. HTTP's and IMAP's longest lines are shorter.
MAX_MESSAGE = 16384


class Side(enum.Enum):
    """Whom to talk to. TLS is on the CLIENT's side of a server and on the TARGET's side of a client."""

    CLIENT = "client"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class StartTls:
    """Shake hands on the TLS leg: the accepted one of a server, the outgoing one of a client.

    What that leg's peer has sent beyond the last message taken is the beginning of TLS, whatever it looks like: nothing
    that came in plaintext is ever taken for something said under TLS. A server that has sent anything fails, because in
    TLS it does not speak first.
    """


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect the outgoing leg: to the first of `addresses` that answers, to `target`, or (neither) where the service's
    configuration and transparency say. Fails with a `ReachError`."""

    target: Endpoint | None = None
    addresses: tuple[SocketAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Resolve:
    """Look a host up, without holding up anybody else: all its addresses, with its port, are in `Scene.resolved` then.

    Fails with a `ReachError`.
    """

    target: HostPort


@dataclass(frozen=True, slots=True)
class Listen:
    """Listen for one connection at an address of ours (SOCKS' BIND); where, is `Scene.bound` then."""

    host: str


@dataclass(frozen=True, slots=True)
class Meet:
    """Wait for a connection of one of these hosts where we listen: the outgoing leg; its address is `Scene.peer` then.
    Fails with a `ReachError`."""

    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Associate:
    """Open a socket for the client's datagrams (SOCKS' UDP ASSOCIATE), at `Scene.bound`. They are relayed instead of
    the client's bytes. `admit` gives those of a target's addresses that may be reached, or raises."""

    host: str
    admit: Callable[[HostPort, tuple[SocketAddress, ...]], tuple[SocketAddress, ...]]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Have a name and a password checked, which takes its time. Fails with an `AuthenticationError`."""

    name: bytes
    password: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Send:
    """Send bytes. `secret` keeps them out of the log, where `shown` stands instead if it is there; `binary` says that
    they are nothing to read.

    `farewell`: they are the last ones, such as those that tell a peer that it is refused. Our side of its stream ends
    behind them, and no reset follows, which could destroy what was said on its way.
    """

    side: Side
    data: bytes
    secret: bool = False
    shown: bytes = b""
    binary: bool = False
    farewell: bool = False


@dataclass(frozen=True, slots=True)
class ReceiveLine:
    """Wait for a line; the answer is without its end (LF, or CR LF). `limit`: bytes of it, its end included.

    `end` is another byte that ends it. `shown`: what of it may stand in the log, from its beginning; the rest may be a
    password that somebody sent too early. None: all of it, unless it is `secret`.
    """

    side: Side
    limit: int = MAX_MESSAGE
    secret: bool = False
    end: bytes = b"\n"
    shown: re.Pattern[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Receive:
    """Wait for exactly so many bytes, at most MAX_MESSAGE."""

    side: Side
    count: int


@dataclass(frozen=True, slots=True)
class Glance:
    """See what a side has sent already, without taking it and without waiting for it."""

    side: Side


Step = StartTls | Connect | Resolve | Authenticate | Listen | Meet | Associate | Send | ReceiveLine | Receive | Glance
Negotiation = Generator[Step, bytes, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFacts:
    """What a handshake with a client found out. `certificate`: it has shown one, which is `verified` or not, perhaps in
    an earlier connection (`resumed`). `signature` and `key` are the algorithms of our own certificate; texts may be
    empty."""

    version: str
    cipher: str
    server_name: str
    certificate: bool
    verified: bool
    resumed: bool
    common_name: str = ""
    signature: str = ""
    key: str = ""


@dataclass(slots=True)
class Scene:
    """What is known of a connection, for the protocols that tell it. The spine fills it in as it learns it.

    `client` is the client, `listener` the address that it reached, `destination` the one that it meant (transparency);
    `bound` is our address on the outgoing leg. All are None where there is none yet, or where it is a Unix socket.
    `peer` is who came to meet us, `resolved` what the last `Resolve` found. `redirected`: the client's certificate does
    not convince (`redirect`). `tls` is there for the protocols that tell it.
    """

    client: SocketAddress | None = None
    listener: SocketAddress | None = None
    destination: OriginalDestination | None = None
    bound: SocketAddress | None = None
    peer: SocketAddress | None = None
    resolved: tuple[SocketAddress, ...] = ()
    redirected: bool = False
    tls: TlsFacts | None = None
