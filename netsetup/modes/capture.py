"""The chains that take traffic for a service, per family and kind of delivery."""

import itertools
from dataclasses import dataclass

from netsetup.model import Capture, Interception, Marks, Method
from netsetup.modes.choice import Delivery, Origin, family_of, is_wildcard, keeps_address
from netsetup.state import Chain, Dnat, Jump, Mark, Match, Redirect, Return, Rule, Table, Tproxy, Verdict

_ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - TPROXY's way to say "the ingress interface's own address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A service's chain, and in which of the entry chains it has to be called, and for which packets."""

    chain: Chain
    entry: str
    when: Match


def take(number: int, interception: Interception, delivery: Delivery, marks: Marks) -> tuple[Taken, ...]:
    """The chains for one delivery. `number` tells services apart in the names of chains, which have to be short."""
    capture = interception.capture
    assert capture is not None, "the caller asks only for services that capture"  # noqa: S101
    maker = _Maker(number, interception.name, capture, delivery, marks)
    return _MAKERS[delivery.method, delivery.origin](maker)


@dataclass(frozen=True, slots=True)
class _Maker:
    number: int
    service: str
    capture: Capture
    delivery: Delivery
    marks: Marks

    def tproxy_outside(self) -> tuple[Taken, ...]:
        verdict = self._tproxy(self.marks.divert)
        return (self._taken("tp", Table.MANGLE, ("pre", Match(outside=True, syn=True)), verdict),)

    def tproxy_local(self) -> tuple[Taken, ...]:
        """Marked at OUTPUT, a packet is routed to the loopback interface, and taken when it comes in there.

        Only SYN packets are looked at, here and there: connections that exist already stay as they are.
        """
        local = Mark(self.marks.local, self.marks.mask)
        return (
            self._taken("mk", Table.MANGLE, ("out", Match(syn=True)), Jump("take")),
            self._taken(
                "tl",
                Table.MANGLE,
                ("pre", Match(interface="lo", syn=True, mark=local)),
                self._tproxy(self.marks.local),
            ),
        )

    def redirect_outside(self) -> tuple[Taken, ...]:
        return (self._taken("rd", Table.NAT, ("npre", Match(outside=True)), self._rewrite()),)

    def redirect_local(self) -> tuple[Taken, ...]:
        return (self._taken("rl", Table.NAT, ("nout", Match()), self._rewrite()),)

    def _tproxy(self, mark: int) -> Verdict:
        """`--on-ip` is always said: left out it means the ingress address, which misses a listener on loopback."""
        host = self.delivery.listener.host
        if is_wildcard(host):
            host = _ANY_ADDRESS[self.delivery.family]
        return Tproxy(host, self.delivery.listener.port, Mark(mark, self.marks.mask))

    def _rewrite(self) -> Verdict:
        listener = self.delivery.listener
        return Redirect(listener.port) if keeps_address(self.delivery) else Dnat(listener.host, listener.port)

    def _taken(self, kind: str, table: Table, where: tuple[str, Match], verdict: Verdict) -> Taken:
        chain = Chain(
            family=self.delivery.family,
            table=table,
            name=f"{kind}{self.number}",
            rules=(*self._excluded(), *self._wanted(verdict)),
        )
        return Taken(chain=chain, entry=where[0], when=where[1])

    def _excluded(self) -> list[Rule]:
        networks = [network for network in self.capture.exclude if family_of(network) is self.delivery.family]
        return [
            Rule(match=match, verdict=Return(), service=self.service)
            for network in networks
            for match in (Match(destination=network), Match(source=network))
        ]

    def _wanted(self, verdict: Verdict) -> list[Rule]:
        outside = self.delivery.origin is Origin.OUTSIDE
        interfaces = self.capture.interfaces if outside else ()
        sources = self._networks(self.capture.from_networks) if outside else ()
        destinations = self._networks(self.capture.to_networks)
        return [
            Rule(
                match=Match(interface=interface, source=source, destination=destination, ports=ports),
                verdict=verdict,
                service=self.service,
            )
            for interface, source, destination, ports in itertools.product(
                interfaces or (None,), sources or (None,), destinations or (None,), self.capture.ports
            )
        ]

    def _networks(self, networks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(network for network in networks if family_of(network) is self.delivery.family)


_MAKERS = {
    (Method.TPROXY, Origin.OUTSIDE): _Maker.tproxy_outside,
    (Method.TPROXY, Origin.LOCAL): _Maker.tproxy_local,
    (Method.REDIRECT, Origin.OUTSIDE): _Maker.redirect_outside,
    (Method.REDIRECT, Origin.LOCAL): _Maker.redirect_local,
}
