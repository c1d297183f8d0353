"""The ways of a flow's packets through netfilter's hooks, and what others' rules do to them on it.

captured       ingress, PREROUTING (OUTPUT for the gateway's own), where our rules take them; then INPUT: with the
               original destination and our mark (TPROXY), or with the listener's address (address translation)
answers        of a server to the client's address: PREROUTING, where we mark them, then INPUT
connections    of the proxy: OUTPUT, POSTROUTING, where nobody may rewrite a client's address
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from netsetup.doctor.checks.obstacles import Kind, Obstacle, dropped, hidden
from netsetup.doctor.facts import Answer, Facts, Question
from netsetup.doctor.flows import Flow, Way
from netsetup.doctor.packet import Packet
from netsetup.doctor.rules import Action, BaseChain, Walk, at_hook, walk
from netsetup.doctor.samples import LOOPBACK, Sample, delivered_to, samples


def incoming(facts: Facts, flow: Flow, sample: Sample) -> Iterator[Obstacle]:
    """A client's first packet, by each of its ports."""
    for port in sample.ports:
        packet = Packet(
            family=flow.family,
            iif=sample.iif,
            oif="",
            source=sample.source,
            destination=sample.destination,
            dport=port,
            to_here=flow.way is Way.DIRECT,
            symmetric=_symmetric(facts, flow, sample.source, sample.iif),
        )
        for chain in at_hook(facts.chains, "ingress", packet):
            yield from dropped(flow, walk(chain, packet), "packets to be captured")
        if flow.way is not Way.DIRECT:
            hook = _Hook(facts, flow, "prerouting")
            yield from hook.obstacles(packet)
            packet = _delivered(facts, flow, hook.packet, sample.iif)
        yield from _input(facts, flow, packet, "captured packets" if flow.capture is not None else "clients' packets")


def outgoing_local(facts: Facts, flow: Flow) -> Iterator[Obstacle]:
    """A packet of the gateway's own that is captured at OUTPUT."""
    ports = dict.fromkeys(port for first, last in flow.ports for port in (first, last))
    for port in ports:
        hook = _Hook(facts, flow, "output")
        yield from hook.obstacles(Packet(family=flow.family, iif="", dport=port, to_here=None))
        yield from _input(facts, flow, _delivered(facts, flow, hook.packet, "lo"), "captured packets")


def answers(facts: Facts, flow: Flow) -> Iterator[Obstacle]:
    """A server's answer to a client's address. Only what is certain: mostly neither server nor port is known."""
    for server, interface, port in _servers(facts, flow):
        if interface == "lo":
            continue
        clients = dict.fromkeys(
            sample.source for sample in samples(facts, flow) if server is not None or sample.iif != interface
        )
        for client in clients:
            packet = Packet(
                family=flow.family,
                iif=interface,
                oif="",
                source=server,
                destination=client,
                sport=port,
                state="established",
                syn=False,
                to_here=False,
            )
            value, mask = facts.marks.divert, facts.marks.mask
            marked = replace(packet, mark=_marked(0, value, mask))
            met = [
                obstacle
                for chain in at_hook(facts.chains, "prerouting", packet)
                for obstacle in dropped(flow, walk(chain, packet), "servers' answers")
            ]
            fix = (
                "accept established connections before that rule (`-m conntrack --ctstate ESTABLISHED`, `ct state "
                f"established`), or what carries our mark at INPUT (`-m mark --mark {value:#x}/{mask:#x}`)"
            )
            for obstacle in _certain((*met, *_input(facts, flow, marked, "servers' answers"))):
                yield replace(obstacle, fix=fix)


def connections(facts: Facts, flow: Flow) -> Iterator[Obstacle]:
    """The proxy's own connections to servers. Only what is certain."""
    for server, interface, port in _servers(facts, flow):
        for sample in samples(facts, flow):
            if sample.iif == interface and interface != "lo" and server is None:
                continue
            packet = Packet(
                family=flow.family,
                iif="",
                oif=interface,
                source=sample.source if flow.source else None,
                destination=server if server is not None else sample.destination,
                dport=port if port is not None else sample.ports[0],
                mark=_marked(0, facts.marks.own, facts.marks.mask),
            )
            for chain in at_hook(facts.chains, "output", packet):
                if not chain.ours:
                    yield from _certain(dropped(flow, walk(chain, packet), "the proxy's connections"))
            for chain in at_hook(facts.chains, "postrouting", packet):
                done = walk(chain, packet)
                yield from _certain(dropped(flow, done, "the proxy's connections"))
                if flow.source:
                    yield from _certain(hidden(flow, done, facts.marks))


def _certain(obstacles: Iterable[Obstacle]) -> Iterator[Obstacle]:
    return (obstacle for obstacle in obstacles if obstacle.certain)


def _servers(facts: Facts, flow: Flow) -> Iterator[tuple[str | None, str | None, int | None]]:
    """(address, interface, port) of servers: the fixed ones, or else anybody behind any interface."""
    for target in flow.targets:
        answer = facts.answers.get(Question(family=flow.family, destination=target.host), Answer())
        yield target.host, "lo" if answer.local else answer.interface or None, target.port
    if not flow.targets:
        for interface in facts.interfaces:
            if interface.up and interface.name != "lo" and interface.networks(flow.family):
                yield None, interface.name, None


def _symmetric(facts: Facts, flow: Flow, source: str, iif: str) -> bool | None:
    answer = facts.answers.get(Question(family=flow.family, destination=source))
    return None if answer is None else answer.interface == iif


def _marked(mark: int | None, value: int, mask: int) -> int:
    return ((mark or 0) & ~mask) | value


def _delivered(facts: Facts, flow: Flow, packet: Packet, iif: str) -> Packet:
    """The packet as it is at INPUT."""
    mark = facts.marks.local if flow.local else facts.marks.divert
    if flow.way is Way.TPROXY:
        return replace(packet, iif=iif, oif="", mark=_marked(packet.mark, mark, facts.marks.mask), to_here=False)
    host = next(iter(delivered_to(facts, flow, iif)), LOOPBACK[flow.family] if flow.local else None)
    return replace(packet, iif=iif, oif="", destination=host, dport=flow.listener.port, to_here=True, rewritten=True)


def _input(facts: Facts, flow: Flow, packet: Packet, packets: str) -> Iterator[Obstacle]:
    for chain in at_hook(facts.chains, "input", packet):
        if not chain.ours:
            done = walk(chain, packet)
            packet = done.packet
            yield from dropped(flow, done, packets, marks=_mark_text(facts, flow))


def _mark_text(facts: Facts, flow: Flow) -> tuple[int, int]:
    return (facts.marks.local if flow.local else facts.marks.divert), facts.marks.mask


@dataclass(slots=True)
class _Hook:
    """The hook at which our rules take a flow's packets. `packet`: as it is behind it."""

    facts: Facts
    flow: Flow
    hook: str
    captured: bool = False
    packet: Packet = None  # type: ignore[assignment]  # set when it is entered

    def obstacles(self, packet: Packet) -> Iterator[Obstacle]:
        """What others do before and after our rules."""
        self.packet = packet
        chains = tuple(at_hook(self.facts.chains, self.hook, packet))
        for chain in chains:
            if chain.ours:
                self._take(chain)
                continue
            done = walk(chain, self.packet)
            yield from dropped(self.flow, done, "packets to be captured")
            if self._is_our_kind(chain) and any(rule.action is Action.OURS for rule in chain.rules):
                yield from self._through_our_table(done)
            else:
                yield from self._through_others(done, chains)
            if not self.captured or self.flow.way is not Way.TPROXY:
                self.packet = done.packet

    def _is_our_kind(self, chain: BaseChain) -> bool:
        return chain.nat is (self.flow.way is Way.NAT) and (chain.nat or chain.priority == -150)

    def _take(self, chain: BaseChain) -> None:
        if chain.nat is (self.flow.way is Way.NAT):
            self.captured = True
            if self.flow.way is Way.TPROXY:
                mark, mask = _mark_text(self.facts, self.flow)
                self.packet = replace(self.packet, mark=_marked(self.packet.mark, mark, mask))

    def _through_our_table(self, done: Walk) -> Iterator[Obstacle]:
        for event in done.events:
            if event.action is Action.OURS:
                self.captured = True
                mark, mask = _mark_text(self.facts, self.flow)
                if self.flow.way is Way.TPROXY:
                    self.packet = replace(done.packet, mark=_marked(done.packet.mark, mark, mask))
                return
            if event.action in (Action.ACCEPT, Action.REWRITE):
                yield self._obstacle(
                    Kind.KEPT_FROM_US if event.action is Action.ACCEPT else Kind.TAKEN,
                    event.text,
                    done,
                    "`gtunnel netsetup destroy` and `apply` put our rule first again; or except captured traffic from "
                    "that rule",
                    certain=event.certain,
                )

    def _through_others(self, done: Walk, chains: tuple[BaseChain, ...]) -> Iterator[Obstacle]:
        for event in done.events:
            if event.action is Action.REWRITE:
                yield from self._rewritten(event.text, done, chains, certain=event.certain)
            elif event.action is Action.UNTRACK and self.flow.tracked:
                # What is not rewritten does without, but for answers of servers on addresses of this machine.
                fix = "except captured traffic from that rule, or use captureMethod = tproxy"
                certain = event.certain and self.flow.way is Way.NAT
                yield self._obstacle(Kind.UNTRACKED, event.text, done, fix, certain=certain)
            elif event.action is Action.MARK and self.captured and self.flow.way is Way.TPROXY:
                value, mask = _mark_text(self.facts, self.flow)
                if event.mark is None or event.mark & mask != value:
                    fix = f"let that rule set its bits only, and leave those of {mask:#x} alone; or another netMark"
                    certain = event.certain and event.mark is not None
                    yield self._obstacle(Kind.UNMARKED, event.text, done, fix, certain=certain)

    def _rewritten(self, text: str, done: Walk, chains: tuple[BaseChain, ...], *, certain: bool) -> Iterator[Obstacle]:
        fix = "except captured traffic from that rule"
        if self.flow.way is Way.TPROXY:
            yield self._obstacle(Kind.REWRITTEN, text, done, fix, certain=certain)
            return
        ours = [
            chain
            for chain in chains
            if chain.nat and (chain.ours or any(rule.action is Action.OURS for rule in chain.rules))
        ]
        same_time = any(chain.priority == done.chain.priority for chain in ours)
        if same_time or not self.captured:
            # At the same priority the order is that of registration, which nobody can look up.
            yield self._obstacle(Kind.TAKEN, text, done, fix, certain=certain and not same_time)

    def _obstacle(self, kind: Kind, text: str, done: Walk, fix: str, *, certain: bool) -> Obstacle:
        return Obstacle(
            kind=kind, packets="packets to be captured", rule=text, packet=done.packet, fix=fix, certain=certain
        )
