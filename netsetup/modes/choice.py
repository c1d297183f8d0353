"""Which listener serves which family, and by which method its traffic gets there.

Why AUTO chooses as it does: TPROXY leaves the packet as it is, needs no address translation, and reaches a listener
wherever it is bound, loopback included; so it takes traffic from outside. The gateway's own traffic would have to be
routed twice for TPROXY; rewriting its destination at OUTPUT is simpler, touches only new connections, and works with
the loopback address in both families.
"""

import enum
import ipaddress
from dataclasses import dataclass

from netsetup.errors import ImpossibleError
from netsetup.model import Capture, Interception, Listener, Method
from netsetup.state import Family


class Origin(enum.Enum):
    """Where captured traffic comes from."""

    OUTSIDE = "traffic from outside"
    LOCAL = "the gateway's own traffic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How traffic of one family and origin reaches a listener.

    `automatic`: the method was ours to choose. `via_loopback_sysctl`: needs route_localnet.
    """

    family: Family
    origin: Origin
    method: Method
    listener: Listener
    automatic: bool = False
    via_loopback_sysctl: bool = False


def family_of(text: str) -> Family:
    """The IP version of a numeric address or network."""
    return Family(ipaddress.ip_network(text).version)


def is_wildcard(host: str) -> bool:
    """Whether a listener on `host` takes connections to any address."""
    return ipaddress.ip_address(host).is_unspecified


def is_loopback(host: str) -> bool:
    """Whether `host` is only reachable from this machine."""
    return ipaddress.ip_address(host).is_loopback


def keeps_address(delivery: Delivery) -> bool:
    """Whether REDIRECT leads to the listener: to the ingress interface's address, or at OUTPUT to 127.0.0.1 and ::1."""
    host = delivery.listener.host
    return is_wildcard(host) or (delivery.origin is Origin.LOCAL and host in ("127.0.0.1", "::1"))


def listener_for(listeners: tuple[Listener, ...], family: Family) -> Listener | None:
    """The first listener of the family. "::" serves IPv4 too, unless a listener of IPv4 exists (bindv6only is off)."""
    for listener in listeners:
        if family_of(listener.host) is family:
            return listener
    if family is Family.IPV4:
        for listener in listeners:
            if listener.host == "::":
                return listener
    return None


def captured_families(interception: Interception, capture: Capture) -> tuple[tuple[Family, ...], tuple[str, ...]]:
    """The families that can be captured, and a sentence for each that is left out."""
    families: list[Family] = []
    notes: list[str] = []
    for family in Family:
        gap = next(
            (
                option
                for option, networks in (("captureFrom", capture.from_networks), ("captureTo", capture.to_networks))
                if networks and not any(family_of(network) is family for network in networks)
            ),
            None,
        )
        if gap is not None:
            notes.append(f"[{interception.name}] IPv{family.value} is not captured: {gap} names no such network")
        elif listener_for(interception.listeners, family) is None:
            notes.append(f"[{interception.name}] IPv{family.value} is not captured: the service does not listen there")
        else:
            families.append(family)
    if not families:
        raise ImpossibleError(
            service=interception.name,
            what="capturing anything",
            why="no IP version is common to accept, captureFrom and captureTo",
            instead="let them name addresses of the same version",
        )
    return tuple(families), tuple(notes)


def deliveries(interception: Interception, capture: Capture, family: Family) -> tuple[Delivery, ...]:
    """How each kind of traffic of the family is handed over. ImpossibleError says what cannot be done and what can."""
    listener = listener_for(interception.listeners, family)
    if listener is None:
        return ()
    origins = (Origin.OUTSIDE, Origin.LOCAL) if capture.local else (Origin.OUTSIDE,)
    return tuple(_delivery(interception.name, capture, (family, origin), listener) for origin in origins)


_WHY = {
    Origin.OUTSIDE: "packets stay as they are, and the listener may be on any address",
    Origin.LOCAL: "takes new connections only, and routes nothing twice",
}


def explain(name: str, delivery: Delivery, *, closed: bool = True) -> str:
    """The sentence in `plan` that says how this traffic is taken."""
    how = "REDIRECT" if keeps_address(delivery) else "DNAT"
    if delivery.method is Method.TPROXY:
        how = "TPROXY"
    host = f"[{delivery.listener.host}]" if ":" in delivery.listener.host else delivery.listener.host
    text = f"[{name}] IPv{delivery.family.value}, {delivery.origin.value}: {how} to {host}:{delivery.listener.port}"
    if delivery.automatic:
        text += f" (auto: {_WHY[delivery.origin]})"
    if not closed:
        text += " (while the proxy is down it goes on in the clear: captureFailClosed = no)"
    if delivery.listener.host == "::" and delivery.family is Family.IPV4:
        text += " (it has to take IPv4 as well: not IPV6_V6ONLY)"
    if delivery.via_loopback_sysctl:
        text += " (route_localnet is switched on; packets from outside to 127.0.0.0/8 are dropped)"
    return text


def _delivery(name: str, capture: Capture, case: tuple[Family, Origin], listener: Listener) -> Delivery:
    family, origin = case
    method = capture.method
    if method is Method.AUTO:
        method = Method.TPROXY if origin is Origin.OUTSIDE else Method.REDIRECT
    if not capture.fail_closed and (method, origin) != (Method.TPROXY, Origin.OUTSIDE):
        raise ImpossibleError(
            service=name,
            what=f"captureFailClosed = no for {origin.value} by {method.value}",
            why="only TPROXY can leave traffic from outside alone while nobody listens",
            instead="use captureMethod = tproxy without captureLocal, or captureFailClosed = yes",
        )
    by_sysctl = method is Method.REDIRECT and origin is Origin.OUTSIDE and is_loopback(listener.host)
    if by_sysctl and family is Family.IPV6:
        raise ImpossibleError(
            service=name,
            what="captureMethod = redirect to [::1]",
            why="the kernel drops packets from outside that are addressed to ::1",
            instead="use captureMethod = tproxy, or accept on [::] or on an address of the gateway",
        )
    if by_sysctl and not capture.interfaces:
        raise ImpossibleError(
            service=name,
            what=f"captureMethod = redirect to {listener.host} from any interface",
            why="route_localnet has to be switched on for each interface that traffic comes in by",
            instead="name them with captureInterface, use captureMethod = tproxy, or accept on 0.0.0.0",
        )
    return Delivery(
        family=family,
        origin=origin,
        method=method,
        listener=listener,
        automatic=capture.method is Method.AUTO,
        via_loopback_sysctl=by_sysctl,
    )
