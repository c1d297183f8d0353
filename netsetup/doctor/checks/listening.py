"""Whether somebody listens where captured connections are handed to, and may take them."""

from collections.abc import Iterator

from netsetup.doctor.facts import Facts, Owner
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.flows import Flow, Way
from netsetup.doctor.samples import LOOPBACK, delivered_to, ingress
from netsetup.kernel.sockdiag import LISTEN, TcpSocket, join
from netsetup.modes.choice import is_wildcard
from netsetup.state import Family


def check(facts: Facts) -> Iterator[Finding]:
    """Nobody listens, or elsewhere, or without IP_TRANSPARENT, or without the rights to go on."""
    for flow in facts.flows:
        on_port = _on_port(facts, flow)
        if not on_port:
            yield _nobody(flow)
            continue
        taking: list[TcpSocket] = []
        for name, index, host in _places(facts, flow):
            found = [one for one in on_port if takes(one, host, flow.family, index)]
            taking += found
            if not found:
                yield _elsewhere(facts, flow, on_port, f"{join(host, flow.listener.port)} (for {name})")
        each_once = tuple(dict.fromkeys(taking))
        yield from _not_transparent(facts, flow, each_once)
        yield from _without_rights(facts, flow, each_once)


def takes(one: TcpSocket, host: str, family: Family, interface: int = 0) -> bool:
    """Whether a listening socket takes connections to this address that come in by this interface (0: any)."""
    if one.interface and interface and one.interface != interface:
        return False
    if one.host == host:
        return True
    if one.family is not family:
        return family is Family.IPV4 and one.host == "::" and not one.v6only
    return is_wildcard(one.host)


def _on_port(facts: Facts, flow: Flow) -> tuple[TcpSocket, ...]:
    return tuple(
        one
        for one in facts.sockets
        if one.state == LISTEN
        and one.port == flow.listener.port
        and (one.family is flow.family or (flow.family is Family.IPV4 and not one.v6only))
    )


def _places(facts: Facts, flow: Flow) -> Iterator[tuple[str, int, str]]:
    """(interface, its index, address) for each address that the kernel hands connections to."""
    if flow.local:
        yield "lo", 0, flow.hands_to or LOOPBACK[flow.family]
        return
    for interface in ingress(facts, flow):
        for host in delivered_to(facts, flow, interface.name):
            yield interface.name, interface.index, host


def _nobody(flow: Flow) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        title=f"{flow.title}: nobody listens on port {flow.listener.port}",
        evidence=(f"ss -ltn: no listening socket on port {flow.listener.port} for IPv{flow.family.value}",),
        effect="connections are refused or time out: they are captured, and there is nobody to take them"
        if flow.capture is not None
        else "connections are refused",
        fix="start gtunnel with this configuration; if it runs, see its log for why this service is not bound",
    )


def _elsewhere(facts: Facts, flow: Flow, sockets: tuple[TcpSocket, ...], wanted: str) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        title=f"{flow.title}: the listener cannot be reached at {wanted}",
        evidence=tuple(f"listening: {_described(facts, one)}" for one in sockets),
        effect="captured connections are handed to an address at which nobody listens: they are refused",
        fix="let `accept` name this address or all of them (0.0.0.0, [::]), and restart gtunnel with the configuration "
        "that `gtunnel netsetup apply` was given",
    )


def _not_transparent(facts: Facts, flow: Flow, sockets: tuple[TcpSocket, ...]) -> Iterator[Finding]:
    opaque = tuple(one for one in sockets if one.transparent is False)
    if flow.way is Way.TPROXY and opaque:
        yield Finding(
            severity=Severity.ERROR,
            title=f"{flow.title}: the listener is not transparent (IP_TRANSPARENT)",
            evidence=tuple(f"listening, not transparent: {_described(facts, one)}" for one in opaque),
            effect="TPROXY drops every SYN: connections time out",
            fix="`transparent = destination` or `both` in the service, and start it as root or with CAP_NET_ADMIN; or "
            " captureMethod = redirect, which does without",
        )


def _without_rights(facts: Facts, flow: Flow, sockets: tuple[TcpSocket, ...]) -> Iterator[Finding]:
    if not (flow.source or flow.local):
        return
    lacking: list[Owner] = []
    for one in sockets:
        lacking += (owner for owner in facts.owners.get(one.inode, ()) if not owner.may_be_transparent)
    if lacking:
        what = "connect with the client's address" if flow.source else "mark its connections as its own"
        yield Finding(
            severity=Severity.ERROR,
            title=f"{flow.title}: the process that listens may not {what}",
            evidence=tuple(
                f"{owner}: neither CAP_NET_ADMIN nor CAP_NET_RAW (CapEff in /proc/{owner.pid}/status)"
                for owner in dict.fromkeys(lacking)
            ),
            effect="every connection fails after it was accepted (Operation not permitted)"
            if flow.source
            else "its own connections are captured again: each is refused as a loop",
            fix="run it without setuid, or with CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN)",
        )


def _described(facts: Facts, one: TcpSocket) -> str:
    who = ", ".join(str(owner) for owner in facts.owners.get(one.inode, ())) or "of an unknown process"
    name = next((interface.name for interface in facts.interfaces if interface.index == one.interface), "")
    return f"{one.local}{f' on {name} only' if one.interface else ''}{' (IPv6 only)' if one.v6only else ''}, {who}"
