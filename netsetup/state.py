"""A state of the kernel as far as a transparent proxy is concerned, free of any backend's language.

Chains say what matches and what happens; how that is written (iptables rules, an nftables table) is the backend's
business. Names of chains are short ("pre"); a backend puts the instance's name in front.
"""

import enum
from dataclasses import dataclass

ROUTE_PROTOCOL = 157
"""The protocol number our ip rules and routes carry, so that they are found again (not in iproute2's rt_protos)."""

MAIN_TABLE = 254
"""RT_TABLE_MAIN of rtnetlink(7)."""

PRIORITIES = 4
"""How many ip rule priorities in a row are ours, from `Request.priority` on."""


class Family(enum.IntEnum):
    """An IP version."""

    IPV4 = 4
    IPV6 = 6

    @property
    def bits(self) -> int:
        """Length of an address, in bits."""
        return 32 if self is Family.IPV4 else 128


class Table(enum.Enum):
    """Which kind of work a chain does: MANGLE marks and diverts, NAT rewrites destinations."""

    MANGLE = "mangle"
    NAT = "nat"


class Hook(enum.Enum):
    """Where the kernel calls a chain. MANGLE at OUTPUT routes a packet again when its mark has changed."""

    PREROUTING = "PREROUTING"
    OUTPUT = "OUTPUT"


class Direction(enum.Enum):
    """A packet's direction in its tracked connection."""

    ORIGINAL = "ORIGINAL"
    REPLY = "REPLY"


@dataclass(frozen=True, slots=True)
class Mark:
    """A firewall mark under a mask: only the mask's bits are compared or changed."""

    value: int
    mask: int

    def __str__(self) -> str:
        return f"{self.value:#x}/{self.mask:#x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Packets (TCP, unless `tcp` is False) for which everything that is set holds.

    `ports` is an inclusive range of destination ports. `outside` is True for packets that did not come in through the
    loopback interface. `transparent_socket`: a local IP_TRANSPARENT socket is connected to, or listens on, just these
    addresses (listeners on a wildcard address do not count: they would take unrelated forwarded traffic).
    `local_destination`: an address of this machine. `invalid`: fits no connection that the kernel knows of
    (conntrack's state INVALID), so address translation does not see it. `unknown`: the kernel has seen nothing of its
    connection before (conntrack's state NEW), although it may be from the middle of one.
    """

    tcp: bool = True
    interface: str | None = None
    outside: bool = False
    source: str | None = None
    destination: str | None = None
    ports: tuple[int, int] | None = None
    syn: bool = False
    transparent_socket: bool = False
    local_destination: bool = False
    mark: Mark | None = None
    connection_mark: Mark | None = None
    direction: Direction | None = None
    invalid: bool = False
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Accept:
    """Ends this hook's table for the packet."""


@dataclass(frozen=True, slots=True)
class Return:
    """Goes back to the chain this one was called from."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Throws the packet away."""


@dataclass(frozen=True, slots=True)
class Jump:
    """Calls another chain of ours."""

    chain: str


@dataclass(frozen=True, slots=True)
class SetMark:
    """Sets the packet's mark and goes on."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class SetConnectionMark:
    """Sets the mark of the packet's connection and goes on. Needs connection tracking."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Tproxy:
    """Gives the packet to the socket listening on host:port, with its addresses unchanged, and ends the table.

    Where nobody listens: with `pass_on` the rule does nothing; without it, that is the backend's business, so a Drop
    has to follow.
    """

    host: str
    port: int
    mark: Mark
    pass_on: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """Rewrites the destination to the ingress interface's address (at OUTPUT: the loopback address) and this port."""

    port: int


@dataclass(frozen=True, slots=True)
class Dnat:
    """Rewrites the destination to host:port."""

    host: str
    port: int


Verdict = Accept | Return | Drop | Jump | SetMark | SetConnectionMark | Tproxy | Redirect | Dnat


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a chain. `service` says on whose behalf; None for what all services share."""

    verdict: Verdict
    match: Match | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Rules in order. `hook`: where the kernel enters; None for a chain that is only called."""

    family: Family
    table: Table
    name: str
    rules: tuple[Rule, ...]
    hook: Hook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignRule:
    """A rule that does not have our shape and protocol, as far as it can collide with ours."""

    family: Family
    priority: int
    table: int
    mark: Mark | None = None
    inverted: bool = False

    def __str__(self) -> str:
        mark = f" fwmark {self.mark}" if self.mark is not None else ""
        negation = " not" if self.inverted else ""
        return f"ip -{self.family.value} rule pref {self.priority}{negation}{mark} lookup {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpRule:
    """A routing policy rule of ours. `source`: a host address; `source_port` implies TCP."""

    family: Family
    priority: int
    table: int
    mark: Mark | None = None
    interface: str | None = None
    source: str | None = None
    source_port: int | None = None

    def __str__(self) -> str:
        parts = [f"ip -{self.family.value} rule pref {self.priority}", f"from {self.source or 'all'}"]
        if self.mark is not None:
            parts.append(f"fwmark {self.mark}")
        if self.interface is not None:
            parts.append(f"iif {self.interface}")
        if self.source_port is not None:
            parts.append(f"ipproto tcp sport {self.source_port}")
        table = "main" if self.table == MAIN_TABLE else self.table
        return " ".join([*parts, f"lookup {table} proto {ROUTE_PROTOCOL}"])

    def as_foreign(self) -> ForeignRule:
        """The rule as one of another instance."""
        return ForeignRule(family=self.family, priority=self.priority, table=self.table, mark=self.mark)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """`local default dev lo` in a table of ours: everything looked up there is delivered to this machine."""

    family: Family
    table: int

    def __str__(self) -> str:
        return f"ip -{self.family.value} route local default dev lo table {self.table} proto {ROUTE_PROTOCOL}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl:
    """A sysctl by its path below /proc/sys ("net/ipv4/conf/eth0/route_localnet") and the value it has to have."""

    path: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """What the kernel has to hold. `notes` are sentences for the administrator: what was chosen, and why."""

    chains: tuple[Chain, ...] = ()
    rules: tuple[IpRule, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim:
    """A routing table, and the first of the ip rule priorities in a row, that an instance uses."""

    table: int
    priority: int


@dataclass(frozen=True, slots=True)
class Change:
    """A sysctl's value before us, and the one that we set."""

    before: str
    ours: str
