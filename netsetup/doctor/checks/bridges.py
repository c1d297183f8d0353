"""Bridges: where netfilter sees their packets twice, or under another interface's name."""

from collections.abc import Iterator

from netsetup.doctor.facts import Facts, Interface
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.flows import Flow, Way
from netsetup.doctor.samples import ingress
from netsetup.state import Family

_SWITCHES = {
    Family.IPV4: "net/bridge/bridge-nf-call-iptables",
    Family.IPV6: "net/bridge/bridge-nf-call-ip6tables",
}


def check(facts: Facts) -> Iterator[Finding]:
    """TPROXY at a bridge that calls iptables, and a bridge's port as captureInterface."""
    for flow in facts.flows:
        if flow.local or flow.capture is None:
            continue
        for interface in ingress(facts, flow):
            named = interface.name in flow.capture.interfaces
            if named and interface.master and _is_bridge(facts.interface(interface.master)):
                yield _port(flow, interface)
            if flow.way is Way.TPROXY and _is_bridge(interface) and facts.sysctl(_SWITCHES[flow.family]):
                yield _seen_twice(flow, interface, named=named)


def _is_bridge(interface: Interface | None) -> bool:
    return interface is not None and interface.kind == "bridge"


def _port(flow: Flow, interface: Interface) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        title=f"{flow.title}: captureInterface {interface.name} is a port of the bridge {interface.master}",
        evidence=(f"ip link show {interface.name}: master {interface.master}",),
        effect=f"IP packets come in by {interface.master}, so nothing is captured",
        fix=f"captureInterface = {interface.master}",
    )


def _seen_twice(flow: Flow, interface: Interface, *, named: bool) -> Finding:
    name = _SWITCHES[flow.family].rpartition("/")[2]
    return Finding(
        severity=Severity.ERROR if named else Severity.NOTE,
        title=f"{flow.title}: the bridge {interface.name} calls iptables before TPROXY can work",
        evidence=(f"sysctl net.bridge.{name} = 1", f"ip -d link show {interface.name}: bridge"),
        effect="the rules see the packet while it is still in the bridge, where its socket is lost again: connections "
        f"from {interface.name} time out",
        fix=f"captureMethod = redirect; or `sysctl -w net.bridge.{name}=0` where nothing (Docker) needs it",
    )
