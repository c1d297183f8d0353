"""The traffic matrix: every transparent mode in one configuration of gtunnel, and what each case has to show.

client 192.0.2.2 - gateway 192.0.2.1 | 198.51.100.1 - server 198.51.100.2, and the same in 2001:db8:1:: | 2001:db8:2::.
gtunnel runs on the gateway in client mode: plain from the client, TLS to the server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

FAMILIES = (4, 6)
CLIENT = {4: "192.0.2.2", 6: "2001:db8:1::2"}
INSIDE = {4: "192.0.2.1", 6: "2001:db8:1::1"}
OUTSIDE = {4: "198.51.100.1", 6: "2001:db8:2::1"}
SERVER = {4: "198.51.100.2", 6: "2001:db8:2::2"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
# Ports of servers (traffic.PORTS) count from here, listeners of gtunnel from the other.
SERVED, LISTEN = 7000, 9000


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A section of the configuration. `method`: None for `source`, which captures nothing and has one target.

    `local`: what the gateway itself sends is captured as well.
    """

    number: int
    mode: str
    family: int
    method: str | None = None
    target: str = ""
    local: bool = False

    @property
    def name(self) -> str:
        """For people, and the section's."""
        return f"{self.mode}-{self.method or 'target'}-IPv{self.family}{'-local' if self.local else ''}-{self.number}"

    @property
    def listens(self) -> tuple[str, ...]:
        """Where gtunnel accepts: TPROXY finds any address, NAT wants one that is near to where packets come from."""
        loopback, inside = LOOPBACK[self.family], INSIDE[self.family]
        if self.local and self.method == "redirect":
            return (inside, loopback)
        return (loopback,) if self.method == "tproxy" else (inside,)

    def section(self) -> str:
        """Its text."""
        lines = [f"[{self.name}]", "client = yes", f"transparent = {self.mode}"]
        lines += [f"accept = {host}:{LISTEN + self.number}" for host in self.listens]
        if self.method is None:
            lines.append(f"connect = {self.target}:{SERVED + self.number}")
        else:
            lines += [f"capture = {SERVED + self.number}", f"captureMethod = {self.method}"]
            lines.append("captureInterface = to-client")
        if self.local:
            lines.append("captureLocal = yes")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One connection. `origin`: the machine that makes it. `seen`: whom the server has to see."""

    name: str
    origin: str
    where: tuple[str, int]
    seen: str

    def judge(self, result: dict[str, Any] | None) -> str | None:
        """What is wrong with what `traffic.py probe` said; None if nothing is."""
        if result is None:
            return "no answer"
        if "error" in result:
            return str(result["error"])
        if not result["same"]:
            return "not all bytes came back"
        if result["peer"] != self.where[0]:
            return f"the client sees {result['peer']}, not {self.where[0]}"
        if result["seen"] != self.seen:
            return f"the server sees {result['seen']}, not {self.seen}"
        return None


def services() -> tuple[Service, ...]:
    """All sections."""
    wanted: list[dict[str, Any]] = []
    for family in FAMILIES:
        wanted += [
            {"mode": "source", "family": family, "target": place[family]} for place in (SERVER, OUTSIDE, LOOPBACK)
        ]
        for method in ("redirect", "tproxy"):
            wanted += [{"mode": mode, "family": family, "method": method} for mode in ("destination", "both")]
            wanted.append({"mode": "destination", "family": family, "method": method, "local": True})
    return tuple(Service(number=number, **fields) for number, fields in enumerate(wanted, 1))


def configuration(backend: str) -> str:
    """The gateway's gtunnel.conf."""
    return f"netBackend = {backend}\n\n" + "\n".join(service.section() for service in services())


def cases() -> tuple[Case, ...]:
    """All connections: to the server, and to the gateway's own address behind it."""
    return tuple(case for service in services() for case in _cases(service))


def _cases(service: Service) -> Iterator[Case]:
    family, number = service.family, service.number
    if service.method is None:
        where = (service.listens[0], LISTEN + number)
        yield Case(name=f"{service.name} to {service.target}", origin="client", where=where, seen=CLIENT[family])
        return
    for name, place in ("the server", SERVER), ("the gateway", OUTSIDE):
        where = (place[family], SERVED + number)
        seen = CLIENT if service.mode == "both" else OUTSIDE
        yield Case(name=f"{service.name} to {name}", origin="client", where=where, seen=seen[family])
    if service.local:
        where = (SERVER[family], SERVED + number)
        yield Case(name=f"{service.name} from the gateway", origin="gateway", where=where, seen=OUTSIDE[family])
