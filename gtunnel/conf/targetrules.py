"""Rules on whom clients may reach who say so themselves (option socksTargets)."""

import ipaddress
import re
from typing import Final

from gtunnel.address import MAX_PORT
from gtunnel.conf.option import BadValueError
from gtunnel.values import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# As many as make sense in a list that is read for each request from its beginning.
MAX_PORT_RANGES: Final = 64
_NAME: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")
_PORTS: Final = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:,[0-9]{1,5}(?:-[0-9]{1,5})?)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRule:
    """One line. Of `network` and `name` at most one is there; neither: everybody. `name` is in lower case, and begins
    with "*." if it means what is below it. `ports` are inclusive ranges; none: all."""

    allow: bool
    network: Network | None = None
    name: str | None = None
    ports: tuple[tuple[int, int], ...] = ()

    def matches(self, name: str | None, address: Address, port: int) -> bool:
        """Whether it is about this address, under this name if it was asked for by name."""
        if self.ports and not any(low <= port <= high for low, high in self.ports):
            return False
        if self.network is not None:
            return address.version == self.network.version and address in self.network
        return self.name is None or (name is not None and self._names(name.lower().removesuffix(".")))

    def _names(self, name: str) -> bool:
        wanted = self.name or ""
        return name.endswith(wanted[1:]) and name != wanted[2:] if wanted.startswith("*.") else name == wanted

    @property
    def inside(self) -> bool:
        """Whether it is about this machine's loopback in particular, and not only among others."""
        return self.network is not None and (self.network.is_loopback or self.network.is_unspecified)


def parse(text: str) -> TargetRule:
    """Read `allow|deny TARGET[:PORTS]`. Raises `BadValueError`."""
    verb, _, rest = text.partition(" ")
    rest = rest.strip()
    if verb.lower() not in {"allow", "deny"} or not rest:
        raise BadValueError("allow TARGET or deny TARGET is needed")
    host, ports = _split(rest)
    network, name = None, None
    if host != "*":
        network = _network(host)
        if network is None:
            if not _NAME.fullmatch(host) or ".." in host or re.fullmatch(r"[0-9.]+", host):
                raise BadValueError(f"{host!r} is no network, no name, no *.name and not *")
            name = host.lower().removesuffix(".")
    return TargetRule(allow=verb.lower() == "allow", network=network, name=name, ports=_ports(ports))


def _split(text: str) -> tuple[str, str | None]:
    """The host, and the ports behind the colon. IPv6 needs brackets if there are ports."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise BadValueError("a ] is missing")
        prefix, _, ports = rest.partition(":")
        if prefix and not prefix.startswith("/"):
            raise BadValueError(f"{text!r} is no network")
        return host + prefix, ports if ":" in rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, ports = text.partition(":")
    return host, ports if colon else None


def _network(text: str) -> Network | None:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        if "host bits" in str(error):
            raise BadValueError(f"{text} has bits set behind its prefix") from None
        return None
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network


def _ports(text: str | None) -> tuple[tuple[int, int], ...]:
    if text is None:
        return ()
    if not _PORTS.fullmatch(text) or text.count(",") >= MAX_PORT_RANGES:
        raise BadValueError(f"{text!r} are no ports: PORT, PORT-PORT, or several with commas")
    ranges = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        first, last = int(low), int(high or low)
        if not 1 <= first <= last <= MAX_PORT:
            raise BadValueError(f"{part!r} are no ports from 1 to {MAX_PORT}")
        ranges.append((first, last))
    return tuple(ranges)
