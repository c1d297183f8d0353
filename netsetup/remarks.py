"""What is no error, yet may be why nothing arrives: said by plan, apply and status."""

from collections.abc import Iterator

from netsetup.kernel import namespace, sysctl
from netsetup.kernel.routing import Routing
from netsetup.model import Method, Request
from netsetup.state import Desired, Family, Tproxy

_BRIDGED = {
    Family.IPV4: "net/bridge/bridge-nf-call-iptables",
    Family.IPV6: "net/bridge/bridge-nf-call-ip6tables",
}


def remarks(request: Request, wanted: Desired, routing: Routing) -> tuple[str, ...]:
    """A sentence each, about the namespace of this process."""
    return (*_absent_interfaces(request), *_bridges(request, wanted, routing))


def _absent_interfaces(request: Request) -> Iterator[str]:
    """An interface that is not there: misspelt, or one that comes later (ppp0, a VPN's)."""
    services: dict[str, list[str]] = {}
    for interception in request.interceptions:
        for interface in interception.capture.interfaces if interception.capture is not None else ():
            services.setdefault(interface, []).append(f"[{interception.name}]")
    there = namespace.interfaces()
    for interface, names in services.items():
        if interface not in there:
            yield (
                f"captureInterface {interface} does not exist here now: until it does, nothing is captured from it "
                f"for {', '.join(names)}; see `ip link` for the names there are"
            )


def _bridges(request: Request, wanted: Desired, routing: Routing) -> Iterator[str]:
    """Netfilter sees what crosses such a bridge before routing does, without the socket that TPROXY chose."""
    families = {chain.family for chain in wanted.chains for rule in chain.rules if isinstance(rule.verdict, Tproxy)}
    seen = [_BRIDGED[family] for family in sorted(families) if sysctl.read(_BRIDGED[family]) == "1"]
    if not seen:
        return
    bridges = routing.bridges()
    for interception in request.interceptions:
        capture = interception.capture
        if capture is None or capture.method is Method.REDIRECT:
            continue
        named = sorted(bridges.intersection(capture.interfaces) if capture.interfaces else bridges)
        if named:
            settings = ", ".join(f"{path.replace('/', '.')} = 1" for path in seen)
            yield (
                f"[{interception.name}]: TPROXY takes nothing that comes in by the bridge {', '.join(named)}, since "
                f"netfilter sees bridged packets ({settings}, which Docker sets); use captureMethod = redirect"
            )
