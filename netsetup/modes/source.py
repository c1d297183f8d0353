"""The way back for servers that see the client's address.

The server answers to the client. Where the answer meets the gateway depends on where the server is:
- elsewhere: it comes in from outside and is recognised by the proxy's socket ("divert" in `build`);
- on a loopback address: nobody but a proxy gets answers for strangers from there, so one ip rule by source suffices;
- on another address of the gateway: direct clients are answered from the same address and port, so only answers within
  the proxy's own connections may be turned around: the proxy's mark is remembered with the connection.
"""

from typing import Final

from netsetup.errors import ImpossibleError
from netsetup.model import Interception, Target
from netsetup.modes.choice import family_of, is_loopback, listener_for
from netsetup.state import Family

_LAST_PORT_OF_RULES: Final = 65534
"""What an ip rule can name: the kernel takes 65535 for an invalid range."""


def source_families(interception: Interception) -> tuple[Family, ...]:
    """Families in which this service connects with the client's address: those of its listeners and its targets."""
    families = [family for family in Family if listener_for(interception.listeners, family) is not None]
    targets = {family_of(target.host) for target in interception.targets}
    return tuple(family for family in families if not targets or family in targets)


def loopback_targets(interception: Interception, family: Family) -> tuple[Target, ...]:
    """Targets whose answers are found by their source address and port. Raises ImpossibleError."""
    found = tuple(
        target for target in interception.targets if family_of(target.host) is family and is_loopback(target.host)
    )
    for target in found:
        if target.port > _LAST_PORT_OF_RULES:
            raise ImpossibleError(
                service=interception.name,
                what=f"transparent = source to port {target.port} of {target.host}",
                why="the kernel's routing rules, which turn the server's answers around, cannot name this port",
                instead="let the server listen on another port",
            )
    return found


def needs_connection_mark(interception: Interception, family: Family) -> bool:
    """Whether a server may be on an address of the gateway that is not loopback; which ones those are can change."""
    targets = [target for target in interception.targets if family_of(target.host) is family]
    return not targets or not all(is_loopback(target.host) for target in targets)
