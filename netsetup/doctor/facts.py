"""What was found out about the machine, once, before anything is judged. Frozen; made by `gather`, or by a test."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netsetup.doctor.flows import Flow
from netsetup.doctor.rules import BaseChain
from netsetup.kernel.sockdiag import TcpSocket
from netsetup.model import Marks, Request
from netsetup.state import Family, Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address of an interface, with the length of its network's prefix."""

    family: Family
    host: str
    prefix: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """`kind` as ip-link(8) has it ("bridge", "veth"; "" for hardware); `master`: the bridge or bond it is a part of."""

    name: str
    index: int
    up: bool
    kind: str = ""
    master: str = ""
    addresses: tuple[Address, ...] = ()

    def networks(self, family: Family) -> tuple[Address, ...]:
        """Its addresses of one IP version, without those that only neighbours can use."""
        return tuple(one for one in self.addresses if one.family is family and not one.host.lower().startswith("fe80:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that has a socket. `may_be_transparent`: whether it has CAP_NET_ADMIN or CAP_NET_RAW now."""

    pid: int
    name: str
    may_be_transparent: bool

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which way a packet takes: asked of the kernel. Without `iif`, one that begins here."""

    family: Family
    destination: str
    source: str | None = None
    iif: str | None = None
    mark: int = 0

    @property
    def command(self) -> str:
        """What to type to see the answer."""
        parts = [f"ip -{self.family.value} route get {self.destination}"]
        parts += [f"from {self.source}"] if self.source is not None else []
        parts += [f"iif {self.iif}"] if self.iif is not None else []
        parts += [f"mark {self.mark:#x}"] if self.mark else []
        return " ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`local`: delivered to this machine. `interface`, `gateway`: where it leaves. `error`: why it is thrown away."""

    local: bool = False
    interface: str = ""
    gateway: str = ""
    source: str = ""
    error: str = ""

    def __str__(self) -> str:
        if self.error:
            return self.error
        if self.local:
            return "local"
        return f"dev {self.interface}" + (f" via {self.gateway}" if self.gateway else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule:
    """An ip rule: its priority and its text as `ip rule` prints it. `ours`: made by netsetup, for any instance. `mark`
    and `inverted` ("not"): of which packets it is said, as far as marks go."""

    family: Family
    priority: int
    text: str
    ours: bool = False
    mark: Mark | None = None
    inverted: bool = False

    def may_match(self, mark: int) -> bool:
        """Whether a packet with this mark may meet its conditions. Others than the mark are not looked at."""
        if self.mark is None or self.inverted:
            return self.mark is None or mark & self.mark.mask != self.mark.value
        return mark & self.mark.mask == self.mark.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Connection tracking: how many connections it knows, and at most. None: there is none."""

    count: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All of it. `drift`: what `apply` would change; `sysctls` by path; `answers` to what `samples.questions` asks;
    `owners` by a socket's inode; `sockets`: TCP sockets in any state; `unread`: what could not be looked at."""

    request: Request
    flows: tuple[Flow, ...]
    interfaces: tuple[Interface, ...] = ()
    drift: tuple[str, ...] = ()
    collisions: tuple[tuple[str, str, str], ...] = ()
    sockets: tuple[TcpSocket, ...] = ()
    owners: Mapping[int, tuple[Owner, ...]] = field(default_factory=dict)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    rules: tuple[RoutingRule, ...] = ()
    answers: Mapping[Question, Answer] = field(default_factory=dict)
    chains: tuple[BaseChain, ...] = ()
    tracking: Tracking | None = None
    refused_by_reverse_path: int = 0
    unread: tuple[str, ...] = ()

    @property
    def marks(self) -> Marks:
        """The request's."""
        return self.request.marks

    def interface(self, name: str) -> Interface | None:
        """By name."""
        return next((one for one in self.interfaces if one.name == name), None)

    def is_own(self, host: str) -> bool:
        """Whether it is an address of this machine."""
        return any(address.host == host for one in self.interfaces for address in one.addresses)

    def sysctl(self, path: str) -> int:
        """A number; 0 where there is none."""
        value = self.sysctls.get(path, "0").split()
        return int(value[0]) if value and value[0].lstrip("-").isdigit() else 0

    def of_interface(self, name: str, setting: str) -> int:
        """A setting of IPv4 that holds if it is on for the interface or for all (the larger one counts)."""
        return max(self.sysctl(f"net/ipv4/conf/{one}/{setting}") for one in ("all", name))
