"""Examples of the packets that a flow is about: by interface, client, destination and port. Pure.

Whom it is from and for is taken from the configuration where that says so, else from the networks that the interfaces
are in. A destination that may be anything is represented by one far address and one in each network that is at hand.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netsetup.doctor.facts import Address, Facts, Interface, Question
from netsetup.doctor.flows import Flow, Way
from netsetup.modes.choice import family_of
from netsetup.state import Family

FAR = {Family.IPV4: "198.18.0.99", Family.IPV6: "2001:2::99"}
"""Somewhere else: addresses for measuring (RFC 2544, RFC 5180), which nobody has."""

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}

MOST_INTERFACES = 16
"""Of a machine with hundreds (containers), the first ones tell enough."""

MOST_NETWORKS = 8
"""Of lists of networks, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One packet from a client. `destination` is None where it may be anything: `near` are examples to ask for."""

    iif: str
    source: str
    destination: str | None
    ports: tuple[int, ...]
    near: tuple[str, ...] = ()

    @property
    def destinations(self) -> tuple[str, ...]:
        """Examples of the destination."""
        return self.near if self.destination is None else (self.destination,)


def ingress(facts: Facts, flow: Flow) -> tuple[Interface, ...]:
    """The interfaces by which the flow's connections may come in: those that exist and are up."""
    named = flow.capture.interfaces if flow.capture is not None else ()
    usable = [
        one
        for one in facts.interfaces
        if one.up and one.name != "lo" and (one.name in named if named else one.networks(flow.family))
    ]
    return tuple(usable[:MOST_INTERFACES])


def samples(facts: Facts, flow: Flow) -> tuple[Sample, ...]:
    """Examples for a flow from outside."""
    return tuple(
        Sample(
            iif=interface.name,
            source=source,
            destination=destination,
            ports=_ports(flow),
            near=_near(facts, flow.family, interface.name) if destination is None else (),
        )
        for interface in ingress(facts, flow)
        for source in _sources(facts, flow, interface)
        for destination in _destinations(facts, flow, interface)
    )


def delivered_to(facts: Facts, flow: Flow, iif: str) -> tuple[str, ...]:
    """The addresses at which the kernel looks for the listener."""
    if flow.hands_to is not None:
        return (flow.hands_to,)
    if flow.local:
        return (LOOPBACK[flow.family],)
    interface = facts.interface(iif)
    addresses = interface.networks(flow.family) if interface is not None else ()
    # REDIRECT and TPROXY take the interface's first address.
    return tuple(address.host for address in addresses[:1])


def questions(facts: Facts) -> Iterator[Question]:
    """All that the checks want to know about routes.

    To be asked again when the answers so far are in `facts`: where a server's answers come in depends on the way there.
    """
    for flow in facts.flows:
        yield from questions_of(facts, flow)
        for target in flow.targets:
            yield Question(family=flow.family, destination=target.host)
        for sample in samples(facts, flow) if flow.source and not flow.local else ():
            yield from answered(facts, flow, sample)


def questions_of(facts: Facts, flow: Flow) -> Iterator[Question]:
    """Where a flow's packets go: as captured, and back to the client as the reverse path check looks it up."""
    mark = facts.marks.divert
    if flow.local:
        if flow.way is Way.TPROXY:
            yield Question(family=flow.family, destination=FAR[flow.family], mark=facts.marks.local)
        return
    for sample in samples(facts, flow):
        yield from captured(flow, sample, mark, delivered_to(facts, flow, sample.iif))
        yield Question(family=flow.family, destination=sample.source)
        yield Question(family=flow.family, destination=sample.source, mark=mark)


def captured(flow: Flow, sample: Sample, mark: int, hosts: tuple[str, ...]) -> Iterator[Question]:
    """The questions whose answer has to be "local"."""
    taken = flow.way is Way.TPROXY
    for destination in sample.destinations if taken else hosts:
        yield Question(
            family=flow.family,
            destination=destination,
            source=sample.source,
            iif=sample.iif,
            mark=mark if taken else 0,
        )


def answered(facts: Facts, flow: Flow, sample: Sample) -> Iterator[Question]:
    """A server's answers to the client: they have to stay here as well."""
    for host, name in _servers(facts, flow):
        if name not in (sample.iif, "lo", ""):
            yield Question(
                family=flow.family, destination=sample.source, source=host, iif=name, mark=facts.marks.divert
            )


def _servers(facts: Facts, flow: Flow) -> Iterator[tuple[str, str]]:
    """(address, interface): the fixed ones, or one in each network that is at hand."""
    for target in flow.targets:
        answer = facts.answers.get(Question(family=flow.family, destination=target.host))
        if answer is not None and not answer.local:
            yield target.host, answer.interface
    for interface in facts.interfaces[:MOST_INTERFACES] if not flow.targets else ():
        for address in interface.networks(flow.family)[:1] if interface.up else ():
            host = _host(f"{address.host}/{address.prefix}", facts)
            if host is not None:
                yield host, interface.name


def _ports(flow: Flow) -> tuple[int, ...]:
    ports = [port for first, last in flow.ports for port in (first, last)]
    return tuple(dict.fromkeys(ports))[: 2 * MOST_NETWORKS]


def _sources(facts: Facts, flow: Flow, interface: Interface) -> list[str]:
    named = flow.capture.from_networks if flow.capture is not None else ()
    networks = [network for network in named if family_of(network) is flow.family]
    if not networks:
        networks = [f"{one.host}/{one.prefix}" for one in interface.networks(flow.family)]
    hosts = [_host(network, facts) for network in networks[:MOST_NETWORKS]]
    return [host for host in hosts if host is not None]


def _destinations(facts: Facts, flow: Flow, interface: Interface) -> list[str | None]:
    if flow.way is Way.DIRECT:
        own = [one.host for one in interface.networks(flow.family)[:1]]
        return [flow.hands_to] if flow.hands_to is not None else list[str | None](own)
    named = flow.capture.to_networks if flow.capture is not None else ()
    networks = [network for network in named if family_of(network) is flow.family]
    if not networks:
        return [None]
    return [host for network in networks[:MOST_NETWORKS] if (host := _host(network, facts)) is not None]


def _near(facts: Facts, family: Family, ingress_name: str) -> tuple[str, ...]:
    hosts = [
        _host(f"{address.host}/{address.prefix}", facts)
        for one in facts.interfaces[:MOST_INTERFACES]
        if one.up and one.name not in ("lo", ingress_name)
        for address in one.networks(family)[:1]
    ]
    return (FAR[family], *(host for host in hosts if host is not None))


def _host(network: str, facts: Facts) -> str | None:
    """An address in the network that is not one of this machine."""
    found = ipaddress.ip_network(network, strict=False)
    first = int(found.network_address) + (found.num_addresses > 2)
    for number in range(first, min(first + 8, int(found.broadcast_address) + 1)):
        host = str(ipaddress.ip_address(number) if found.version == 4 else ipaddress.IPv6Address(number))
        if not facts.is_own(host):
            return host
    return None


def by_interface(facts: Facts, flow: Flow) -> Mapping[str, tuple[Sample, ...]]:
    """The samples, by the interface that they come in by."""
    found: dict[str, list[Sample]] = {}
    for sample in samples(facts, flow):
        found.setdefault(sample.iif, []).append(sample)
    return {name: tuple(some) for name, some in found.items()}


def network_of(address: Address) -> str:
    """The network that an interface's address is in."""
    return str(ipaddress.ip_network(f"{address.host}/{address.prefix}", strict=False))
