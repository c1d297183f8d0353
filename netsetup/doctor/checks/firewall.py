"""Others' firewall rules in the way of captured packets: dropped, taken elsewhere, unmarked, untracked.

Each flow's packets are described and led through the hooks that they meet, as `paths` has it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from netsetup.doctor.checks.obstacles import Obstacle
from netsetup.doctor.checks.paths import answers, connections, incoming, outgoing_local
from netsetup.doctor.facts import Facts
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.flows import Flow
from netsetup.doctor.samples import by_interface


def check(facts: Facts) -> Iterator[Finding]:
    """Where clients may come in by any interface, one that lets them pass is enough: what others drop is a note."""
    for flow in facts.flows:
        if flow.local:
            yield from _merged(flow, outgoing_local(facts, flow))
            continue
        found: dict[str, list[Finding]] = {}
        for name, some in by_interface(facts, flow).items():
            obstacles = [obstacle for sample in some for obstacle in incoming(facts, flow, sample)]
            found[name] = list(_merged(flow, obstacles))
        named = flow.capture is not None and bool(flow.capture.interfaces)
        passes = any(not _serious(findings) for findings in found.values())
        for findings in found.values():
            if named or not passes:
                yield from findings
            elif flow.capture is not None:  # who may come to a listener himself is the firewall's to say
                yield from _as_notes(findings)
        if flow.source:
            yield from _merged(flow, answers(facts, flow))
        yield from _merged(flow, connections(facts, flow))


def _serious(findings: Iterable[Finding]) -> bool:
    return any(finding.severity > Severity.NOTE for finding in findings)


def _as_notes(findings: Iterable[Finding]) -> Iterator[Finding]:
    return (replace(finding, severity=Severity.NOTE) for finding in findings)


def _merged(flow: Flow, obstacles: Iterable[Obstacle]) -> Iterator[Finding]:
    """One finding for each rule, with the first packet that met it."""
    first: dict[tuple[object, ...], Obstacle] = {}
    for obstacle in obstacles:
        first.setdefault((obstacle.kind, obstacle.rule, obstacle.certain), obstacle)
    # What surely happens by a rule need not be said to be possible as well.
    for (_, rule, certain), obstacle in first.items():
        if certain or (obstacle.kind, rule, True) not in first:
            yield _finding(flow, obstacle)


def _finding(flow: Flow, obstacle: Obstacle) -> Finding:
    kind = obstacle.kind
    does = kind.what
    if not obstacle.certain:
        does = f"may be {does.removeprefix('are ')}" if does.startswith("are ") else f"may {does}"
    return Finding(
        severity=kind.severity if obstacle.certain else Severity.NOTE,
        title=f"{flow.title}: {obstacle.packets} {does}",
        evidence=(obstacle.rule, f"for example: {obstacle.packet}"),
        effect=kind.effect
        if obstacle.certain
        else f"if the rule matches (it is not fully understood here): {kind.effect}",
        fix=obstacle.fix,
    )
