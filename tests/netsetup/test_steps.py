import pytest

from netsetup.backends.contract import Content
from netsetup.state import Family, IpRule, Route
from netsetup.steps import FirewallStep, RouteStep, RuleStep, Step, SysctlStep

OLD, NEW = Content("old", ("a", "b")), Content("new", ("b", "c"))
STEPS: list[tuple[Step, tuple[str, ...], tuple[str, ...]]] = [
    (
        SysctlStep(path="net/x", before="0", after="1"),
        ("~ sysctl net.x = 1 (now 0)",),
        ("~ sysctl net.x = 0 (now 1)",),
    ),
    (
        RouteStep(route=Route(family=Family.IPV4, table=1), add=True),
        ("+ ip -4 route local default dev lo table 1 proto 157",),
        ("- ip -4 route local default dev lo table 1 proto 157",),
    ),
    (
        RuleStep(rule=IpRule(family=Family.IPV4, priority=1, table=2), add=False),
        ("- ip -4 rule pref 1 from all lookup 2 proto 157",),
        ("+ ip -4 rule pref 1 from all lookup 2 proto 157",),
    ),
    (FirewallStep(unit="u", before=OLD, after=NEW), ("- a", "+ c"), ("- c", "+ a")),
    (FirewallStep(unit="u", before=None, after=NEW), ("+ b", "+ c"), ("- b", "- c")),
    (
        FirewallStep(unit="u", before=Content("1", ("a", "b")), after=Content("2", ("b", "a"))),
        ("~ u: the same rules in their proper order",),
        ("~ u: the same rules in their proper order",),
    ),
]


@pytest.mark.parametrize(("step", "does", "undoes"), STEPS)
def test_each_step_says_what_it_does_and_knows_its_reverse(
    step: Step, does: tuple[str, ...], undoes: tuple[str, ...]
) -> None:
    assert step.lines() == does
    assert step.reverse().lines() == undoes
    assert step.reverse().reverse() == step
