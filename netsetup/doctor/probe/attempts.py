"""Which connections to try, from whom to whom. Pure but for the dice."""

import ipaddress
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netsetup.doctor.facts import Facts, Interface
from netsetup.doctor.flows import Flow, Way
from netsetup.doctor.samples import delivered_to, ingress, network_of
from netsetup.kernel.sockdiag import join
from netsetup.modes.choice import family_of
from netsetup.state import Family

_STRICT = 1
_NETWORKS = {Family.IPV4: "198.18.0.0/15", Family.IPV6: "2001:2::/48"}
"""Set aside for measuring (RFC 2544, RFC 5180): nobody is cut off when one of them leads here for a moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the user asks of the probe. `source`: the client's address; `destination` and `port`: a real server to
    connect to; `service`: only this one."""

    source: str | None = None
    destination: str | None = None
    port: int | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One connection. Plain values: it is handed to another process. `iif`: the interface it seems to come in by.
    `own_server`: the probe answers at the destination itself. `keeps_source`: the proxy has to connect from `source`,
    to one of `targets` (address, port); none: to the destination. `strict`: its reverse path filter is on.
    `instance`: whose rules count it."""

    title: str
    family: int
    iif: str
    source: str
    destination: str
    port: int
    own_server: bool
    keeps_source: bool
    strict: bool = False
    instance: str = "gtunnel"
    targets: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A connection that cannot be tried, and why."""

    title: str
    reason: str


def attempts(facts: Facts, wish: Wish, pick: Callable[[int], int] = random.randrange) -> list[Attempt | Refusal]:
    """One for each capturing service and IP version, or for each that keeps the client's address."""
    return [
        _attempt(facts, flow, wish, pick)
        for flow in facts.flows
        if not flow.local and wish.service in (None, flow.service) and _concerns(flow, wish)
    ]


def _concerns(flow: Flow, wish: Wish) -> bool:
    return all(family_of(one) is flow.family for one in (wish.source, wish.destination) if one is not None)


def _attempt(facts: Facts, flow: Flow, wish: Wish, pick: Callable[[int], int]) -> Attempt | Refusal:
    source = wish.source or _anybody(flow, pick)
    interface = _by(facts, flow, source)
    if interface is None:
        return Refusal(title=flow.title, reason="none of the interfaces that it captures from is up")
    direct = flow.way is Way.DIRECT
    if direct:
        host, port = next(iter(delivered_to(facts, flow, interface.name)), ""), flow.listener.port
    else:
        host, port = wish.destination or _anybody(flow, pick), wish.port or flow.ports[0][0]
    for reason in _objections(facts, flow, source, (host, port)):
        return Refusal(title=flow.title, reason=reason)
    return Attempt(
        title=f"{flow.title}: {source} to {join(host, port)}, as if from {interface.name}",
        family=flow.family.value,
        iif=interface.name,
        source=source,
        destination=host,
        port=port,
        own_server=wish.destination is None and not direct and not flow.targets,
        keeps_source=flow.source,
        strict=flow.family is Family.IPV4 and facts.of_interface(interface.name, "rp_filter") == _STRICT,
        instance=facts.request.instance,
        targets=tuple((target.host, target.port) for target in flow.targets),
    )


def _objections(facts: Facts, flow: Flow, source: str, to: tuple[str, int]) -> Iterator[str]:
    """Why this is not a connection that would be captured, or that may be made."""
    host, port = to
    if not host:
        yield f"the interface that it would come in by has no address of IPv{flow.family.value}"
    if facts.is_own(source):
        yield f"--from {source} is an address of this machine"
    if flow.capture is None:
        return
    if not _allowed(source, flow.capture.from_networks):
        yield "captureFrom names clients: `--from` an address among them that no machine has now"
    if not _allowed(host, flow.capture.to_networks):
        yield "captureTo names servers: `--to` one of them"
    if flow.capture.exclude and _allowed(host, flow.capture.exclude):
        yield f"captureExclude excepts {host}"
    if not any(first <= port <= last for first, last in flow.ports):
        yield f"port {port} of --to is not captured"


def _by(facts: Facts, flow: Flow, source: str) -> Interface | None:
    """The one in whose network the client is, else the first."""
    candidates = ingress(facts, flow)
    near = (one for one in candidates if _allowed(source, tuple(map(network_of, one.networks(flow.family))), False))
    return next(near, candidates[0] if candidates else None)


def _anybody(flow: Flow, pick: Callable[[int], int]) -> str:
    network = ipaddress.ip_network(_NETWORKS[flow.family])
    return str(network[1 + pick(min(network.num_addresses, 1 << 17) - 2)])


def _allowed(host: str, networks: tuple[str, ...], by_default: bool = True) -> bool:
    return (by_default and not networks) or any(
        ipaddress.ip_address(host) in ipaddress.ip_network(one, strict=False) for one in networks
    )
