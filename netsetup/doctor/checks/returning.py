"""Whether the answers of servers that see the client's address come back through here (`transparent = source`)."""

import ipaddress
from collections.abc import Iterator

from netsetup.doctor.facts import Answer, Facts, Question
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.flows import Flow
from netsetup.doctor.samples import network_of
from netsetup.kernel.sockdiag import SYN_SENT
from netsetup.modes.choice import family_of

_RETRANSMITTED = 1
"""A SYN that was sent twice has had a second to be answered (RFC 6298, 2)."""

_SHOWN = 3


def check(facts: Facts) -> Iterator[Finding]:
    """A server in the clients' own network, and connections that wait for an answer now."""
    sources = [flow for flow in facts.flows if flow.source and not flow.local]
    for flow in sources:
        yield from _neighbours(facts, flow)
    if sources:
        yield from _waiting(facts)


def _neighbours(facts: Facts, flow: Flow) -> Iterator[Finding]:
    for target in flow.targets:
        answer = facts.answers.get(Question(family=flow.family, destination=target.host), Answer())
        if answer.local or answer.error or answer.gateway:
            continue
        for network in _shared(facts, flow, target.host, answer.interface):
            yield Finding(
                severity=Severity.WARNING,
                title=f"{flow.title}: the server {target.host} is in the same network as clients ({network})",
                evidence=(f"ip route get {target.host}: {answer}",),
                effect="it answers clients in its own network directly, not through this machine: those time out",
                fix="put it into another network, or give it a route for the clients through this machine; or "
                "`transparent = none`, or destination, for these clients",
            )


def _shared(facts: Facts, flow: Flow, host: str, name: str) -> Iterator[str]:
    """Networks that the server is in and that clients surely come from."""
    interface = facts.interface(name)
    for address in interface.networks(flow.family) if interface is not None else ():
        network = ipaddress.ip_network(network_of(address))
        if ipaddress.ip_address(host) not in network or flow.capture is None:
            continue
        named = [one for one in flow.capture.from_networks if family_of(one) is flow.family]
        overlap = any(ipaddress.ip_network(one, strict=False).overlaps(network) for one in named)
        if overlap or (not named and name in flow.capture.interfaces):
            yield str(network)


def _waiting(facts: Facts) -> Iterator[Finding]:
    waiting = [
        one
        for one in facts.sockets
        if one.state == SYN_SENT
        and one.transparent
        and one.retransmits >= _RETRANSMITTED
        and not facts.is_own(one.host)
    ]
    if waiting:
        more = len(waiting) - _SHOWN
        yield Finding(
            severity=Severity.WARNING,
            title="Servers do not answer connections that carry the client's address",
            evidence=(
                *(
                    f"ss -tan: SYN-SENT {one.local} -> {one.remote}, sent {one.retransmits + 1} times"
                    for one in waiting[:_SHOWN]
                ),
                *([f"… and {more} more"] if more > 0 else []),
            ),
            effect="either the server is down, or its answers to clients do not come through this machine",
            fix="on the server, `ip route get CLIENT` has to lead to this machine (by its default route, say)",
        )
