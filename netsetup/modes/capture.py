"""The chains that take traffic for a service, per family and kind of delivery."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from netsetup.model import Capture, Interception, Marks, Method
from netsetup.modes.choice import Delivery, Origin, family_of, is_wildcard, keeps_address
from netsetup.state import (
    Chain,
    Direction,
    Dnat,
    Drop,
    Jump,
    Mark,
    Match,
    Redirect,
    Return,
    Rule,
    SetConnectionMark,
    Table,
    Tproxy,
    Verdict,
)

_ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 - TPROXY's way to say "the ingress interface's own address"

_FLAT = 16
"""Up to so many combinations of interfaces, networks and ports are rules side by side, which is easier to read. More of
them are chains one after the other, whose rules add up instead of being multiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A service's chains, in which of the entry chains the first one has to be called, and for which packets."""

    chains: tuple[Chain, ...]
    entry: str
    when: tuple[Match, ...]

    @property
    def name(self) -> str:
        """The chain to call."""
        return self.chains[0].name


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
        """New connections, and when failing closed also what belongs to one that was captured, or to none at all.

        That includes what comes in the middle of a connection of which the kernel knows nothing: after a reboot, those
        are the captured ones, and they would go on in the clear.

        Where the proxy still has a socket for a packet, it was recognised before. So what comes here later belongs to
        a connection whose proxy is gone; or it is the last of a handshake by SYN cookies, of which only the listener
        knows.
        """
        new = Match(outside=True, syn=True)
        if not self.capture.fail_closed:
            verdict = self._tproxy(self.marks.divert, pass_on=True)
            return (self._taken("tp", Table.MANGLE, ("pre", (new,)), verdict),)
        mark = Mark(self.marks.divert, self.marks.mask)
        unknown = Match(outside=True, unknown=True)
        captured = Match(outside=True, connection_mark=mark, direction=Direction.ORIGINAL)
        stray = Match(outside=True, invalid=True)
        give = self._chain(
            f"gv{self.number}",
            Table.MANGLE,
            (
                Rule(match=Match(invalid=True), verdict=Drop(), service=self.service),
                Rule(verdict=SetConnectionMark(mark), service=self.service),
                *self._give(self.marks.divert),
            ),
        )
        taken = self._taken("tp", Table.MANGLE, ("pre", (new, unknown, captured, stray)), Jump(give.name))
        return (replace(taken, chains=(*taken.chains, give)),)

    def tproxy_local(self) -> tuple[Taken, ...]:
        """Marked at OUTPUT, a packet is routed to the loopback interface, and taken when it comes in there.

        At OUTPUT only SYN packets are looked at, and what belongs to a connection that was taken then: connections
        that exist already stay as they are.
        """
        local = Mark(self.marks.local, self.marks.mask)
        give = self._chain(f"gl{self.number}", Table.MANGLE, self._give(self.marks.local))
        mark = self._taken("mk", Table.MANGLE, ("out", (Match(syn=True),)), Jump("take"))
        on_loopback = (Match(interface="lo", mark=local),)
        taken = self._taken("tl", Table.MANGLE, ("pre", on_loopback), Jump(give.name))
        return mark, replace(taken, chains=(*taken.chains, give))

    def redirect_outside(self) -> tuple[Taken, ...]:
        """Address translation passes over what fits no connection, which then would go where it was meant."""
        taken = self._taken("rd", Table.NAT, ("npre", (Match(outside=True),)), self._rewrite())
        if not self.capture.fail_closed:
            return (taken,)
        return taken, self._taken("st", Table.MANGLE, ("pre", (Match(outside=True, invalid=True),)), Drop())

    def redirect_local(self) -> tuple[Taken, ...]:
        return (self._taken("rl", Table.NAT, ("nout", (Match(),)), self._rewrite()),)

    def _give(self, mark: int) -> tuple[Rule, ...]:
        return (
            Rule(match=Match(), verdict=self._tproxy(mark), service=self.service),
            Rule(verdict=Drop(), service=self.service),
        )

    def _tproxy(self, mark: int, *, pass_on: bool = False) -> Tproxy:
        """`--on-ip` is always said: left out it means the ingress address, which misses a listener on loopback."""
        host = self.delivery.listener.host
        if is_wildcard(host):
            host = _ANY_ADDRESS[self.delivery.family]
        return Tproxy(host, self.delivery.listener.port, Mark(mark, self.marks.mask), pass_on)

    def _rewrite(self) -> Verdict:
        listener = self.delivery.listener
        return Redirect(listener.port) if keeps_address(self.delivery) else Dnat(listener.host, listener.port)

    def _taken(self, kind: str, table: Table, where: tuple[str, tuple[Match, ...]], verdict: Verdict) -> Taken:
        entry, when = where
        levels = self._levels()
        names = [f"{kind}{self.number}{_suffix(depth)}" for depth in range(len(levels))]
        verdicts = [*(Jump(name) for name in names[1:]), verdict]
        chains = [
            self._chain(name, table, [Rule(match=match, verdict=then, service=self.service) for match in matches])
            for name, matches, then in zip(names, levels, verdicts, strict=True)
        ]
        first = replace(chains[0], rules=(*self._excluded(), *chains[0].rules))
        return Taken(chains=(first, *chains[1:]), entry=entry, when=when)

    def _chain(self, name: str, table: Table, rules: Iterable[Rule]) -> Chain:
        return Chain(family=self.delivery.family, table=table, name=name, rules=tuple(rules))

    def _excluded(self) -> list[Rule]:
        return [
            Rule(match=Match(destination=network), verdict=Return(), service=self.service)
            for network in self._networks(self.capture.exclude)
        ]

    def _levels(self) -> list[list[Match]]:
        """What the traffic is selected by: each level has to match by one of its matches."""
        outside = self.delivery.origin is Origin.OUTSIDE
        dimensions: tuple[list[Match], ...] = (
            [Match(interface=name) for name in (self.capture.interfaces if outside else ())],
            [Match(source=network) for network in self._networks(self.capture.from_networks if outside else ())],
            [Match(destination=network) for network in self._networks(self.capture.to_networks)],
            [Match(ports=ports) for ports in self.capture.ports],
        )
        levels: list[list[Match]] = []
        for dimension in filter(None, dimensions):
            if levels and _is_flat(len(levels[-1]), len(dimension)):
                levels[-1] = [_both(one, other) for one in levels[-1] for other in dimension]
            else:
                levels.append(dimension)
        return levels

    def _networks(self, networks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(network for network in networks if family_of(network) is self.delivery.family)


def _is_flat(one: int, other: int) -> bool:
    return min(one, other) == 1 or one * other <= _FLAT


def _both(one: Match, other: Match) -> Match:
    """A match for what both match; each of them says something else."""
    return replace(
        one,
        source=one.source or other.source,
        destination=one.destination or other.destination,
        ports=one.ports or other.ports,
    )


def _suffix(depth: int) -> str:
    return "" if depth == 0 else "abc"[depth - 1]


_MAKERS = {
    (Method.TPROXY, Origin.OUTSIDE): _Maker.tproxy_outside,
    (Method.TPROXY, Origin.LOCAL): _Maker.tproxy_local,
    (Method.REDIRECT, Origin.OUTSIDE): _Maker.redirect_outside,
    (Method.REDIRECT, Origin.LOCAL): _Maker.redirect_local,
}
