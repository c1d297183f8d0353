"""What has to hold between services: no address twice, no captured connection wanted by two."""

import ipaddress
from collections.abc import Collection, Iterator, Sequence
from itertools import combinations

from gtunnel.address import Endpoint, HostPort
from gtunnel.conf.errors import Problem, Reason, problem_of
from gtunnel.conf.settings import CaptureSettings, ServiceSettings

Listener = tuple[Endpoint, tuple[object, ...]]


def check_services(services: Sequence[ServiceSettings], broken: Collection[str] = ()) -> Iterator[Problem]:
    """All that is wrong between services. `broken` are the sections that did not become one, which was told already."""
    yield from _same_listener(services)
    yield from _same_traffic(services)
    yield from _primaries(services, broken)


def _same_listener(services: Sequence[ServiceSettings]) -> Iterator[Problem]:
    taken: dict[Listener, ServiceSettings] = {}
    for service in services:
        # Listeners on different interfaces may share a port (SO_BINDTODEVICE, socket(7)).
        devices = tuple(option.value for option in service.sockets.accept if option.name == "SO_BINDTODEVICE")
        for endpoint in service.accept:
            if isinstance(endpoint, HostPort) and endpoint.port == 0:
                continue
            other = taken.setdefault((endpoint, devices), service)
            if other is not service:
                theirs = problem_of(other, "accept", "", value=endpoint)
                reason = f"Binding would fail: service [{other.name}] accepts there already ({theirs.place})"
                yield problem_of(service, "accept", reason, value=endpoint)


def _same_traffic(services: Sequence[ServiceSettings]) -> Iterator[Problem]:
    for first, second in combinations((service for service in services if service.capture), 2):
        if first.capture and second.capture and _overlap(first.capture, second.capture):
            reason = f"it captures traffic that service [{first.name}] ({first.capture.place}) captures already"
            hint = "different ports, interfaces or networks keep them apart"
            yield Problem(second.capture.place, f"[{second.name}]", reason, hint)


def _primaries(services: Sequence[ServiceSettings], broken: Collection[str]) -> Iterator[Problem]:
    """The services that `sni = SERVICE:PATTERN` names. stunnel wants them before; here they may be anywhere."""
    sections = {service.section: service for service in services}
    for service in services:
        for virtual in service.virtual_names:
            primary = sections.get(virtual.primary)
            reason = None
            if primary is None and virtual.primary in broken:
                continue
            if primary is None:
                reason = f"{Reason.NO_PRIMARY}: there is no service [{virtual.primary}]"
            elif primary.client:
                reason = Reason.PRIMARY_IS_CLIENT
            elif primary.virtual_names:
                reason = f"{Reason.NO_PRIMARY}: [{virtual.primary}] itself serves names of another service"
            if reason is not None:
                yield problem_of(service, "sni", reason, value=f"{virtual.primary}:{virtual.pattern}")


def _overlap(one: CaptureSettings, two: CaptureSettings) -> bool:
    """Whether a connection exists that both would take."""
    if not any(a[0] <= b[1] and b[0] <= a[1] for a in one.ports for b in two.ports):
        return False
    if _apart(one.to_networks, two.to_networks):
        return False
    if _spared(one.to_networks, two.exclude) or _spared(two.to_networks, one.exclude):
        return False
    forwarded = not _apart(one.from_networks, two.from_networks) and (
        not one.interfaces or not two.interfaces or not set(one.interfaces).isdisjoint(two.interfaces)
    )
    # The gateway's own connections come from no interface and no client.
    return forwarded or (one.local and two.local)


def _apart(one: tuple[str, ...], two: tuple[str, ...]) -> bool:
    """Whether no address is in both lists of networks; an empty list has all addresses."""
    if not one or not two:
        return False
    return not any(_share(a, b) for a in one for b in two)


def _share(one: str, two: str) -> bool:
    a, b = ipaddress.ip_network(one), ipaddress.ip_network(two)
    return a.version == b.version and a.overlaps(b)


def _spared(networks: tuple[str, ...], excluded: tuple[str, ...]) -> bool:
    """Whether all of `networks` is excluded."""
    return bool(networks) and all(any(_within(inner, outer) for outer in excluded) for inner in networks)


def _within(inner: str, outer: str) -> bool:
    a, b = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    if isinstance(a, ipaddress.IPv4Network) and isinstance(b, ipaddress.IPv4Network):
        return a.subnet_of(b)
    return isinstance(a, ipaddress.IPv6Network) and isinstance(b, ipaddress.IPv6Network) and a.subnet_of(b)
