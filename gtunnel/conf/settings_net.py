"""What a configuration says about transparent proxying: its part of `settings`, from where everybody takes it."""

import enum

from gtunnel.conf.place import Place
from gtunnel.values import dataclass


class Transparency(enum.Enum):
    """`transparent`: whose addresses the outgoing connection uses."""

    NONE = "none"
    SOURCE = "source"
    DESTINATION = "destination"
    BOTH = "both"

    @property
    def source(self) -> bool:
        """Whether the far side sees the client's own address."""
        return self in (Transparency.SOURCE, Transparency.BOTH)

    @property
    def destination(self) -> bool:
        """Whether the connection goes where the client meant it to go."""
        return self in (Transparency.DESTINATION, Transparency.BOTH)


class CaptureMethod(enum.Enum):
    """`captureMethod`: how the kernel hands captured traffic over."""

    AUTO = "auto"
    TPROXY = "tproxy"
    REDIRECT = "redirect"


class NetBackend(enum.Enum):
    """`netBackend`: what netsetup writes firewall rules with."""

    AUTO = "auto"
    IPTABLES = "iptables"
    NFTABLES = "nftables"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetSettings:
    """`netBackend`, `netMark` (first of three firewall marks, and their mask), `netTable`, `netPriority`, `netName`.

    The three marks are `mark`, `mark + step` and `mark + 2 * step`, where step is the mask's lowest bit: delivered to
    a local socket, gtunnel's own outgoing traffic, and captured traffic of the gateway itself.
    """

    backend: NetBackend
    mark: int
    mask: int
    table: int
    priority: int
    name: str = "gtunnel"

    @property
    def own_mark(self) -> int:
        """The SO_MARK of gtunnel's outgoing sockets."""
        return self.mark + (self.mask & -self.mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSettings:
    """`capture*`: the traffic that netsetup hands to a service.

    Port ranges are inclusive pairs; networks are in canonical text form ("192.0.2.0/24", "2001:db8::1/128");
    empty tuples mean "any" (`exclude`: none).
    """

    ports: tuple[tuple[int, int], ...]
    interfaces: tuple[str, ...]
    from_networks: tuple[str, ...]
    to_networks: tuple[str, ...]
    exclude: tuple[str, ...]
    local: bool
    method: CaptureMethod
    fail_closed: bool
    place: Place
