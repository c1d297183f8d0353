"""What the kernel has to do for a transparent proxy, as plain data: the input of `modes`.

netsetup stands on its own: whoever uses it (gtunnel's command line, a test) fills these in.
"""

import enum
from dataclasses import dataclass


class Method(enum.Enum):
    """How captured traffic reaches the proxy's listener. AUTO lets `modes` choose per family and direction."""

    AUTO = "auto"
    TPROXY = "tproxy"
    REDIRECT = "redirect"


class Backend(enum.Enum):
    """What writes the firewall rules."""

    AUTO = "auto"
    IPTABLES = "iptables"
    NFTABLES = "nftables"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Where the proxy listens: a numeric address ("0.0.0.0" and "::" for all) and a port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A fixed server of a service that keeps the client's address: numeric address and port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """Traffic to hand to the proxy. Ports are inclusive ranges; networks "192.0.2.0/24"; empty means any.

    `interfaces` and `from_networks` select among the traffic that comes in from outside; `local` adds the gateway's own
    traffic (to `ports` and `to_networks`). Nothing to `exclude` is captured. `fail_closed`: while the proxy is
    down, captured traffic goes nowhere, instead of going on to where it was meant.
    """

    ports: tuple[tuple[int, int], ...]
    interfaces: tuple[str, ...] = ()
    from_networks: tuple[str, ...] = ()
    to_networks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    local: bool = False
    method: Method = Method.AUTO
    fail_closed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Interception:
    """One service. `source`: outgoing connections carry the client's address. `capture`: None if nothing is captured
    (then the way back of `targets` is all that has to be arranged, for `source`). Empty `targets` mean that the server
    is not known beforehand: the way back is then arranged for any."""

    name: str
    listeners: tuple[Listener, ...]
    source: bool
    capture: Capture | None = None
    targets: tuple[Target, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Three firewall marks under one mask. Marks are always set and compared masked.

    `divert`: packets to deliver to a local socket; `own`: SO_MARK of the proxy's outgoing sockets, never captured;
    `local`: the gateway's own traffic on its way to be captured.
    """

    divert: int
    own: int
    local: int
    mask: int

    @staticmethod
    def from_first(first: int, mask: int) -> "Marks":
        """The three marks that follow from the first: a step is the mask's lowest bit."""
        step = mask & -mask
        return Marks(divert=first, own=first + step, local=first + 2 * step, mask=mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """All that is wanted of the kernel. `table`: routing table number; `priority`: that of our first ip rule (four in a
    row are ours). `instance`: the name all of it is found by; a second proxy needs its own, with its own marks, table
    and priority."""

    interceptions: tuple[Interception, ...]
    instance: str = "gtunnel"
    backend: Backend = Backend.AUTO
    marks: Marks = Marks(divert=0x1, own=0x2, local=0x3, mask=0xFF)
    table: int = 100
    priority: int = 5000
