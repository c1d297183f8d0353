"""The desired state of the kernel that follows from a request.

How a packet travels, with marks d (divert), o (own) and l (local), all under one mask:

    from outside   mangle/pre: a transparent socket of ours knows it -> d; else a service's TPROXY -> d, kept with the
                   connection, so that what comes when the socket is gone does not go on in the clear
                   "fwmark d -> table" delivers it here; "iif lo fwmark d -> main", one rule earlier, keeps the kernel's
                   reverse-path lookup sane where src_valid_mark=1
    own, TPROXY    mangle/out: SYN of a captured connection -> l, kept with the connection; later packets l from there;
                   "fwmark l -> table" turns it to lo, where mangle/pre gives it to the listener
    own, NAT       nat/nout rewrites the destination; what carries o is the proxy's and passes
    answers of a server on the gateway
                   mangle/out: o was kept with the connection, the answer gets l -> lo -> the proxy's socket

Nothing is decided for packets that come in through lo: their route was found when they were sent.
"""

from collections.abc import Iterable, Iterator

from netsetup.model import Interception, Method, Request
from netsetup.modes.capture import Taken, take
from netsetup.modes.choice import Delivery, Origin, captured_families, deliveries, explain
from netsetup.modes.source import loopback_targets, needs_connection_mark, source_families
from netsetup.modes.validate import validated
from netsetup.state import (
    MAIN_TABLE,
    Accept,
    Chain,
    Desired,
    Direction,
    Drop,
    Family,
    Hook,
    IpRule,
    Jump,
    Mark,
    Match,
    Return,
    Route,
    Rule,
    SetConnectionMark,
    SetMark,
    Sysctl,
    Table,
)


def desired(request: Request, available: tuple[Family, ...] = tuple(Family)) -> Desired:
    """What the kernel, which has these IP versions, has to hold. Raises RequestError and ImpossibleError."""
    request = validated(request)
    notes: list[str] = []
    ways: list[tuple[int, Interception, Delivery]] = []
    for number, interception in enumerate(request.interceptions):
        if interception.capture is None:
            continue
        families, left_out = captured_families(interception, interception.capture)
        notes += left_out
        for family in families:
            if family not in available:
                notes.append(f"[{interception.name}] IPv{family.value} is not captured: this kernel does without it")
                continue
            for delivery in deliveries(interception, interception.capture, family):
                ways.append((number, interception, delivery))
                notes.append(explain(interception.name, delivery, closed=interception.capture.fail_closed))
    parts = [_Part(request, family, ways) for family in available]
    for interception in request.interceptions:
        if interception.source:
            families = tuple(family for family in source_families(interception) if family in available)
            text = " and ".join(f"IPv{family.value}" for family in families) or "no IP version"
            notes.append(f"[{interception.name}] {text}: servers' answers to clients are led back to the proxy")
    return Desired(
        chains=tuple(chain for part in parts for chain in part.chains()),
        rules=tuple(rule for part in parts for rule in part.rules()),
        routes=tuple(route for part in parts for route in part.routes()),
        sysctls=tuple(sorted(set(_sysctls(ways)), key=lambda sysctl: sysctl.path)),
        notes=tuple(notes),
    )


def _sysctls(ways: Iterable[tuple[int, Interception, Delivery]]) -> Iterator[Sysctl]:
    for _, interception, delivery in ways:
        if delivery.via_loopback_sysctl and interception.capture is not None:
            for interface in interception.capture.interfaces:
                yield Sysctl(path=f"net/ipv4/conf/{interface}/route_localnet", value="1")


def _keeps(interception: Interception, delivery: Delivery) -> bool:
    """Whether connections of this delivery are remembered as captured, by the mark for divert."""
    closed = interception.capture is not None and interception.capture.fail_closed
    return closed and delivery.method is Method.TPROXY and delivery.origin is Origin.OUTSIDE


class _Part:
    """The share of one family."""

    def __init__(self, request: Request, family: Family, ways: list[tuple[int, Interception, Delivery]]) -> None:
        marks = request.marks
        self._request = request
        self._family = family
        self._divert = Mark(marks.divert, marks.mask)
        self._own = Mark(marks.own, marks.mask)
        self._local = Mark(marks.local, marks.mask)
        self._ways = [way for way in ways if way[2].family is family]
        self._taken: list[tuple[Taken, str]] = [
            (taken, interception.name)
            for number, interception, delivery in self._ways
            for taken in take(number, interception, delivery, marks)
        ]
        self._sources = [
            interception
            for interception in request.interceptions
            if interception.source and family in source_families(interception)
        ]
        self._remembers = any(needs_connection_mark(interception, family) for interception in self._sources)

    def chains(self) -> list[Chain]:
        """Entry chains with something in them, what they call, and the services' own."""
        out = self._out()
        entries = [
            self._chain("pre", Table.MANGLE, self._pre(), Hook.PREROUTING),
            self._chain("divert", Table.MANGLE, self._mark_and_accept(self._divert) if self._diverts else []),
            self._chain("out", Table.MANGLE, out, Hook.OUTPUT),
            self._chain("loop", Table.MANGLE, self._mark_and_accept(self._local) if out else []),
            self._chain("take", Table.MANGLE, self._take() if self._calls("out") else []),
            self._chain("npre", Table.NAT, self._calls("npre"), Hook.PREROUTING),
            self._chain("nout", Table.NAT, self._nout(), Hook.OUTPUT),
        ]
        services = [chain for taken, _ in self._taken for chain in taken.chains]
        return [chain for chain in (*entries, *services) if chain.rules]

    def rules(self) -> list[IpRule]:
        """At most one rule per priority and mark; those by source share the last priority."""
        first, table, family = self._request.priority, self._request.table, self._family
        found: list[IpRule] = []
        if self._diverts:
            found.append(IpRule(family=family, priority=first, table=MAIN_TABLE, mark=self._divert, interface="lo"))
            found.append(IpRule(family=family, priority=first + 1, table=table, mark=self._divert))
        if self._out():
            found.append(IpRule(family=family, priority=first + 2, table=table, mark=self._local))
        by_source = {
            IpRule(
                family=family,
                priority=first + 3,
                table=table,
                interface="lo",
                source=target.host,
                source_port=target.port,
            )
            for interception in self._sources
            for target in loopback_targets(interception, family)
        }
        return found + sorted(by_source, key=str)

    def routes(self) -> list[Route]:
        """The one route that the rules lead to."""
        return [Route(family=self._family, table=self._request.table)] if self.rules() else []

    @property
    def _diverts(self) -> bool:
        """Whether packets from outside may belong to a transparent socket of ours."""
        return bool(self._sources) or any(delivery.method is Method.TPROXY for _, _, delivery in self._ways)

    def _pre(self) -> list[Rule]:
        rules = [
            Rule(
                match=Match(tcp=False, interface=interface, destination="127.0.0.0/8"),
                verdict=Drop(),
                service=interception.name,
            )
            for _, interception, delivery in self._ways
            if delivery.via_loopback_sysctl and interception.capture is not None
            for interface in interception.capture.interfaces
        ]
        if self._diverts:
            rules.append(Rule(match=Match(outside=True, transparent_socket=True), verdict=Jump("divert")))
        rules += self._calls("pre")
        if any(_keeps(interception, delivery) for _, interception, delivery in self._ways):
            # No service wants it any more, or the proxy has lost its socket: it must not go on in the clear.
            captured = Match(outside=True, connection_mark=self._divert, direction=Direction.ORIGINAL)
            rules.append(Rule(match=captured, verdict=Jump("divert")))
        return rules

    def _out(self) -> list[Rule]:
        """Answers first: with tcp_fwmark_accept=1 a server's answers carry our own mark as well."""
        rules: list[Rule] = []
        if self._remembers:
            answer = Match(connection_mark=self._own, direction=Direction.REPLY)
            rules.append(Rule(match=answer, verdict=Jump("loop")))
            to_here = Match(mark=self._own, local_destination=True)
            rules.append(Rule(match=to_here, verdict=SetConnectionMark(self._own)))
        calls = self._calls("out")
        if calls:
            rules.append(Rule(match=Match(mark=self._own), verdict=Return()))
            taken = Match(connection_mark=self._local, direction=Direction.ORIGINAL)
            rules.append(Rule(match=taken, verdict=Jump("loop")))
        return rules + calls

    def _take(self) -> list[Rule]:
        marks = (SetMark(self._local), SetConnectionMark(self._local))
        return [*(Rule(verdict=mark) for mark in marks), Rule(verdict=Accept())]

    def _nout(self) -> list[Rule]:
        calls = self._calls("nout")
        return [Rule(match=Match(mark=self._own), verdict=Return()), *calls] if calls else []

    def _calls(self, entry: str) -> list[Rule]:
        return [
            Rule(match=match, verdict=Jump(taken.name), service=service)
            for taken, service in self._taken
            if taken.entry == entry
            for match in taken.when
        ]

    def _mark_and_accept(self, mark: Mark) -> list[Rule]:
        return [Rule(verdict=SetMark(mark)), Rule(verdict=Accept())]

    def _chain(self, name: str, table: Table, rules: list[Rule], hook: Hook | None = None) -> Chain:
        return Chain(family=self._family, table=table, name=name, rules=tuple(rules), hook=hook)
