"""Comparing what is wanted with what the kernel has, which gives the steps in their order. Pure.

Order: sysctls, routes, rules, firewall; then what is no longer wanted, the other way round. Routing without marks does
nothing, whereas a mark without its rule would make packets vanish: so the firewall comes after the rules it relies on,
and rules go only when no packet can carry their mark any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netsetup.backends.contract import Content
from netsetup.model import Marks
from netsetup.state import PRIORITIES, Change, Claim, Desired, ForeignRule, IpRule, Mark, Route
from netsetup.steps import FirewallStep, RouteStep, RuleStep, Step, SysctlStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What the kernel has. `rules` and `routes` are ours; `sysctls` are present values by path (None: no such one);
    `changes` are those we made earlier; `foreign_rules` and `foreign_routes` (text) are for recognising collisions."""

    image: Mapping[str, Content]
    rules: tuple[IpRule, ...] = ()
    routes: tuple[Route, ...] = ()
    sysctls: Mapping[str, str | None] = field(default_factory=dict)
    changes: Mapping[str, Change] = field(default_factory=dict)
    foreign_rules: tuple[ForeignRule, ...] = ()
    foreign_routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What apply would do, in order. `notes` say what was chosen and why, `warnings` what may get in the way.

    `script` are the lines of a shell script that does the same, without apply's looking back and undoing.
    """

    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    script: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        """For people: `#` notes, `!` warnings, `+` added, `-` removed, `~` changed."""
        return (
            *(f"# {note}" for note in self.notes),
            *(f"! {warning}" for warning in self.warnings),
            *(step_lines(self.steps) or ("nothing to do",)),
        )

    def data(self) -> dict[str, object]:
        """For programs: what `lines` says."""
        return {
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "steps": [step.data() for step in self.steps],
        }


def step_lines(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The lines of all steps."""
    return tuple(line for step in steps for line in step.lines())


def steps_to(desired: Desired, image: Mapping[str, Content], actual: Actual) -> tuple[Step, ...]:
    """The steps from `actual` to `desired`; `image` is the firewall's part of it, rendered by the backend."""
    wanted = {sysctl.path: sysctl.value for sysctl in desired.sysctls}
    set_sysctls = [
        SysctlStep(path=path, before=str(actual.sysctls[path]), after=value)
        for path, value in wanted.items()
        # None: there is no such interface yet. Applying again when it has come sets it.
        if actual.sysctls.get(path) not in (value, None)
    ]
    # A value that is no longer the one we set was set by somebody else: it is theirs now.
    restored = [
        SysctlStep(path=path, before=change.ours, after=change.before)
        for path, change in actual.changes.items()
        if path not in wanted and actual.sysctls.get(path) == change.ours
    ]
    # New rules come before others go: where one backend follows the other, no packet meets neither.
    units = sorted({*image, *actual.image}, key=lambda unit: (unit not in image, unit))
    firewall = [
        FirewallStep(unit=unit, before=actual.image.get(unit), after=image.get(unit))
        for unit in units
        if actual.image.get(unit) != image.get(unit)
    ]
    return (
        *set_sysctls,
        *(RouteStep(route=route, add=True) for route in desired.routes if route not in actual.routes),
        *(RuleStep(rule=rule, add=True) for rule in desired.rules if rule not in actual.rules),
        *firewall,
        *(RuleStep(rule=rule, add=False) for rule in reversed(actual.rules) if rule not in desired.rules),
        *(RouteStep(route=route, add=False) for route in reversed(actual.routes) if route not in desired.routes),
        *restored,
    )


def collisions(desired: Desired, claim: Claim, marks: Marks, actual: Actual) -> list[tuple[str, str, str]]:
    """What stands in our way: (what is taken, by what, what to do). Only for what `desired` uses."""
    if not desired.rules:
        return []
    found: list[tuple[str, str, str]] = []
    priorities = range(claim.priority, claim.priority + PRIORITIES)
    families = {rule.family for rule in desired.rules}
    for rule in actual.foreign_rules:
        if rule.family not in families:
            continue
        if rule.priority in priorities:
            found.append((f"ip rule priority {rule.priority}", str(rule), "choose another netPriority"))
        if rule.table == claim.table:
            found.append((f"routing table {claim.table}", str(rule), "choose another netTable"))
        for value in (marks.divert, marks.own, marks.local):
            if rule.mark is not None and not rule.inverted and overlaps(Mark(value, marks.mask), rule.mark):
                mark = Mark(value, marks.mask)
                found.append((f"the firewall mark {mark}", str(rule), "choose another netMark"))
    found += [(f"routing table {claim.table}", route, "choose another netTable") for route in actual.foreign_routes]
    return found


def overlaps(ours: Mark, theirs: Mark) -> bool:
    """Whether a packet that carries our mark can match their rule because of it. Disjoint masks never overlap."""
    common = ours.mask & theirs.mask
    return common != 0 and (ours.value ^ theirs.value) & common == 0


def owned(priority_or_table: Claim, own: tuple[Claim, ...] | None, others: tuple[Claim, ...]) -> bool:
    """Whether what stands at this table and priority is ours. `own` is None where our ledger is lost: then everything
    with our protocol number is ours that no other instance claims."""
    at = priority_or_table

    def covers(claim: Claim) -> bool:
        return at.table == claim.table or claim.priority <= at.priority < claim.priority + PRIORITIES

    return not any(map(covers, others)) if own is None else any(map(covers, own))
