"""The kinds of connection that a request is about, and how each reaches the proxy. Pure."""

import enum
from dataclasses import dataclass

from netsetup.model import Capture, Interception, Listener, Method, Request, Target
from netsetup.modes.choice import (
    Origin,
    captured_families,
    deliveries,
    family_of,
    is_wildcard,
    keeps_address,
    listener_for,
)
from netsetup.modes.source import needs_connection_mark, source_families
from netsetup.modes.validate import validated
from netsetup.state import Family


class Way(enum.Enum):
    """How a connection gets to the listener: handed over as it is, with its destination rewritten, or by itself."""

    TPROXY = "TPROXY"
    NAT = "address translation"
    DIRECT = "direct"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One kind of connection. `hands_to`: the address that the firewall's rule gives it to; None is the ingress
    interface's own (the loopback address for the gateway's own traffic). `source`: the proxy connects with the client's
    address, to `targets` (none: wherever the client was going). `tracked`: needs connection tracking."""

    service: str
    family: Family
    way: Way
    listener: Listener
    origin: Origin = Origin.OUTSIDE
    capture: Capture | None = None
    hands_to: str | None = None
    source: bool = False
    targets: tuple[Target, ...] = ()
    tracked: bool = False

    @property
    def title(self) -> str:
        """What findings call it."""
        own = " of the gateway's own" if self.local else ""
        return f"[{self.service}] IPv{self.family.value}{own}"

    @property
    def local(self) -> bool:
        """Whether it begins on the gateway."""
        return self.origin is Origin.LOCAL

    @property
    def ports(self) -> tuple[tuple[int, int], ...]:
        """Where clients connect to: inclusive ranges."""
        return self.capture.ports if self.capture is not None else ((self.listener.port, self.listener.port),)


def flows(request: Request, available: tuple[Family, ...]) -> tuple[Flow, ...]:
    """All of them, for the IP versions that this kernel has. Raises what `modes.build.desired` raises."""
    request = validated(request)
    found: list[Flow] = []
    for interception in request.interceptions:
        if interception.capture is None:
            found += _direct(interception)
        else:
            found += _captured(interception, interception.capture)
    return tuple(flow for flow in found if flow.family in available)


def _captured(interception: Interception, capture: Capture) -> list[Flow]:
    families, _ = captured_families(interception, capture)
    return [
        Flow(
            service=interception.name,
            family=family,
            way=Way.TPROXY if delivery.method is Method.TPROXY else Way.NAT,
            listener=delivery.listener,
            origin=delivery.origin,
            capture=capture,
            hands_to=_hands_to(delivery.listener, kept=keeps_address(delivery)),
            source=interception.source,
            targets=_targets(interception, family),
            tracked=delivery.method is not Method.TPROXY
            or delivery.origin is Origin.LOCAL
            or capture.fail_closed
            or (interception.source and needs_connection_mark(interception, family)),
        )
        for family in families
        for delivery in deliveries(interception, capture, family)
    ]


def _hands_to(listener: Listener, *, kept: bool) -> str | None:
    return None if kept or is_wildcard(listener.host) else listener.host


def _direct(interception: Interception) -> list[Flow]:
    if not interception.source:
        return []
    found = []
    for family in source_families(interception):
        listener = listener_for(interception.listeners, family)
        if listener is not None:
            found.append(
                Flow(
                    service=interception.name,
                    family=family,
                    way=Way.DIRECT,
                    listener=listener,
                    hands_to=_hands_to(listener, kept=False),
                    source=True,
                    targets=_targets(interception, family),
                    tracked=needs_connection_mark(interception, family),
                )
            )
    return found


def _targets(interception: Interception, family: Family) -> tuple[Target, ...]:
    return tuple(target for target in interception.targets if family_of(target.host) is family)
