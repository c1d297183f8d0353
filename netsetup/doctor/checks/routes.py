"""Where the kernel sends captured packets: to this machine, it should be."""

from collections.abc import Iterable, Iterator

from netsetup.doctor.facts import Answer, Facts, Question, RoutingRule
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.flows import Flow, Way
from netsetup.doctor.samples import FAR, Sample, answered, captured, delivered_to, ingress, samples
from netsetup.state import PRIORITIES, Family

_CAPTURED = "captured packets"

_STRICT = 1
"""rp_filter(ip-sysctl): the answer has to leave by the interface that the packet came in by."""


def check(facts: Facts) -> Iterator[Finding]:
    """Captured packets that are routed on, or thrown away by the reverse path check."""
    for flow in facts.flows:
        yield from _local(facts, flow) if flow.local else _from_outside(facts, flow)
    yield from _counted(facts)


def _local(facts: Facts, flow: Flow) -> Iterator[Finding]:
    if flow.way is Way.TPROXY:
        question = Question(family=flow.family, destination=FAR[flow.family], mark=facts.marks.local)
        answer = facts.answers.get(question)
        if answer is not None and not answer.local:
            yield from _routed_on(facts, flow.title, question, _CAPTURED)


def _from_outside(facts: Facts, flow: Flow) -> Iterator[Finding]:
    """A client is reported only if the packets do not get through by any of the interfaces that it may come in by."""
    by_client: dict[str, list[list[Finding]]] = {}
    for sample in samples(facts, flow):
        by_client.setdefault(sample.source, []).append(list(_of_sample(facts, flow, sample)))
        if flow.source:
            yield from _judged(facts, flow, answered(facts, flow, sample), "servers' answers")
    for ways in by_client.values():
        if all(ways):
            for findings in ways:
                yield from findings


def _of_sample(facts: Facts, flow: Flow, sample: Sample) -> Iterator[Finding]:
    yield from _judged(
        facts, flow, captured(flow, sample, facts.marks.divert, delivered_to(facts, flow, sample.iif)), _CAPTURED
    )


def _judged(facts: Facts, flow: Flow, questions: Iterable[Question], what: str) -> Iterator[Finding]:
    for question in questions:
        answer = facts.answers.get(question)
        if answer is None or answer.local:
            continue
        if not answer.error:
            yield from _routed_on(facts, flow.title, question, what)
        elif flow.family is Family.IPV4:
            yield from _refused(facts, flow, question)


def _preceding(facts: Facts, question: Question) -> tuple[RoutingRule, ...]:
    return tuple(
        rule
        for rule in facts.rules
        if rule.family is question.family
        and 0 < rule.priority <= facts.request.priority + 2
        and not rule.ours
        and rule.may_match(question.mark)
    )


def _routed_on(facts: Facts, title: str, question: Question, what: str) -> Iterator[Finding]:
    before = _preceding(facts, question)
    if not before and facts.drift:
        return  # our own rule is missing, which is said elsewhere
    first = min((rule.priority for rule in before), default=facts.request.priority)
    yield Finding(
        severity=Severity.ERROR,
        title=f"{title}: another routing rule takes {what} before ours does",
        evidence=(*(rule.text for rule in before), f"{question.command}: {facts.answers[question]}"),
        effect="they leave this machine instead of reaching the proxy: connections time out",
        fix=f"let our rules come first: netPriority = {max(1, first - PRIORITIES)} or less, and "
        "`gtunnel netsetup apply`; or let the other rule leave packets with our mark alone",
    )


def _refused(facts: Facts, flow: Flow, question: Question) -> Iterator[Finding]:
    answer, iif, sender = facts.answers[question], question.iif or "", question.source or ""
    back_marked = Question(family=flow.family, destination=sender, mark=facts.marks.divert)
    back = Question(family=flow.family, destination=sender)
    turned = facts.answers.get(back_marked, Answer()).local
    if facts.of_interface(iif, "src_valid_mark") and question.mark and turned:
        yield Finding(
            severity=Severity.ERROR,
            title=f"{flow.title}: src_valid_mark makes the kernel take clients for itself",
            evidence=(
                _setting(facts, iif, "src_valid_mark"),
                f"{back_marked.command}: {facts.answers[back_marked]}",
                f"{question.command}: {answer.error}",
            ),
            effect="captured packets are thrown away without a trace; WireGuard and Tailscale set this",
            fix="`gtunnel netsetup apply`, whose first ip rule cures it; rules made by hand need "
            f"`ip rule add pref {facts.request.priority} iif lo fwmark {facts.marks.divert:#x}/{facts.marks.mask:#x} "
            "lookup main`",
        )
        return
    value = facts.of_interface(iif, "rp_filter")
    if value:
        yield Finding(
            severity=Severity.ERROR,
            title=f"{flow.title}: the reverse path filter throws packets from {sender} on {iif} away",
            evidence=(
                _setting(facts, iif, "rp_filter"),
                f"{back.command}: {facts.answers.get(back, Answer(error='no answer'))}",
                f"{question.command}: {answer.error}",
            ),
            effect="packets come in by another interface than the one that leads back to their sender, and are dropped "
            "without a trace",
            fix=f"`sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{iif}.rp_filter=2`, or a route to the "
            f"clients by {iif}",
        )
        return
    before = _preceding(facts, question)
    if not before and facts.drift:
        return
    yield Finding(
        severity=Severity.WARNING,
        title=f"{flow.title}: the kernel has no way for packets from {sender} on {iif}",
        evidence=(*(rule.text for rule in before), f"{question.command}: {answer.error}"),
        effect="captured packets are thrown away, or routed elsewhere",
        fix="see the ip rules and routes that are named",
    )


def _setting(facts: Facts, interface: str, setting: str) -> str:
    both = (
        f"net.ipv4.conf.{name}.{setting} = {facts.sysctl(f'net/ipv4/conf/{name}/{setting}')}"
        for name in ("all", interface)
    )
    return ", ".join(both)


def _counted(facts: Facts) -> Iterator[Finding]:
    """Clients behind other routers are not known here; that packets were dropped is."""
    strict = {
        interface.name
        for flow in facts.flows
        if flow.family is Family.IPV4 and not flow.local
        for interface in ingress(facts, flow)
        if facts.of_interface(interface.name, "rp_filter") == _STRICT
    }
    if facts.refused_by_reverse_path and strict:
        yield Finding(
            severity=Severity.NOTE,
            title="The reverse path filter has thrown packets away",
            evidence=(
                f"nstat -az TcpExtIPReversePathFilter: {facts.refused_by_reverse_path} since boot",
                f"rp_filter = 1 on {', '.join(sorted(strict))}",
            ),
            effect="who comes in by another interface than the one that leads back to him is not heard",
            fix="where paths are asymmetric, `sysctl -w net.ipv4.conf.INTERFACE.rp_filter=2` (and 0 or 2 for all)",
        )
