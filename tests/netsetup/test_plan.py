import pytest

from netsetup.backends.contract import Content
from netsetup.model import Marks
from netsetup.plan import Actual, Plan, collisions, overlaps, owned, steps_to
from netsetup.state import Change, Claim, Desired, Family, ForeignRule, IpRule, Mark, Route, Sysctl
from netsetup.steps import FirewallStep, RouteStep, RuleStep, SysctlStep

V4 = Family.IPV4
RULE = IpRule(family=V4, priority=5001, table=100, mark=Mark(1, 0xFF))
ROUTE = Route(family=V4, table=100)
SYSCTL = Sysctl(path="net/x", value="1")
WANTED = Desired(rules=(RULE,), routes=(ROUTE,), sysctls=(SYSCTL,))
IMAGE = {"u": Content("new", ("new",))}
CLAIM = Claim(100, 5000)
MARKS = Marks(divert=1, own=2, local=3, mask=0xFF)


def test_routing_comes_before_what_relies_on_it() -> None:
    steps = steps_to(WANTED, IMAGE, Actual(image={}, sysctls={"net/x": "0"}))
    assert steps == (
        SysctlStep(path="net/x", before="0", after="1"),
        RouteStep(route=ROUTE, add=True),
        RuleStep(rule=RULE, add=True),
        FirewallStep(unit="u", before=None, after=IMAGE["u"]),
    )


def test_removal_is_the_other_way_round() -> None:
    actual = Actual(
        image=IMAGE, rules=(RULE,), routes=(ROUTE,), sysctls={"net/x": "1"}, changes={"net/x": Change("0", "1")}
    )
    assert steps_to(WANTED, IMAGE, actual) == ()
    assert steps_to(Desired(), {}, actual) == (
        FirewallStep(unit="u", before=IMAGE["u"], after=None),
        RuleStep(rule=RULE, add=False),
        RouteStep(route=ROUTE, add=False),
        SysctlStep(path="net/x", before="1", after="0"),
    )


@pytest.mark.parametrize("now", ["7", None])
def test_a_sysctl_that_somebody_else_changed_since_is_left_alone(now: str | None) -> None:
    assert steps_to(Desired(), {}, Actual(image={}, sysctls={"net/x": now}, changes={"net/x": Change("0", "1")})) == ()


def test_replacing_puts_the_new_in_place_before_the_old_goes() -> None:
    old = IpRule(family=V4, priority=6001, table=101, mark=Mark(1, 0xFF))
    kinds = [
        (step.rule, step.add) if isinstance(step, RuleStep) else type(step)
        for step in steps_to(Desired(rules=(RULE,)), IMAGE, Actual(image={}, rules=(old,)))
    ]
    assert kinds == [(RULE, True), FirewallStep, (old, False)]


@pytest.mark.parametrize(
    ("theirs", "collides"),
    [
        (Mark(0x1, 0xFFFFFFFF), True),
        (Mark(0xCA6C, 0xFFFFFFFF), False),
        (Mark(0x10001, 0xFF00FF), True),
        (Mark(0x80000, 0xFF0000), False),
        (Mark(0x1, 0x1), True),
        (Mark(0x3, 0x3), False),
    ],
)
def test_marks_overlap_where_a_packet_with_ours_can_match_theirs(theirs: Mark, collides: bool) -> None:
    assert overlaps(Mark(0x1, 0xFF), theirs) is collides


def _foreign(priority: int = 77, table: int = 300, mark: Mark | None = None, *, inverted: bool = False) -> ForeignRule:
    return ForeignRule(family=V4, priority=priority, table=table, mark=mark, inverted=inverted)


@pytest.mark.parametrize(
    ("foreign", "taken"),
    [
        (_foreign(), None),
        (_foreign(priority=5003), "ip rule priority 5003"),
        (_foreign(priority=5004), None),
        (_foreign(table=100), "routing table 100"),
        (_foreign(mark=Mark(2, 0xFF)), "the firewall mark 0x2/0xff"),
        (_foreign(mark=Mark(0x51820, 0xFFFFFFFF), inverted=True), None),
        (_foreign(mark=Mark(2, 0xFF), inverted=True), None),
        (ForeignRule(family=Family.IPV6, priority=5003, table=100), None),
    ],
)
def test_collisions_name_what_is_taken(foreign: ForeignRule, taken: str | None) -> None:
    found = collisions(WANTED, CLAIM, MARKS, Actual(image={}, foreign_rules=(foreign,)))
    assert [what for what, _, _ in found] == ([] if taken is None else [taken])
    assert collisions(Desired(), CLAIM, MARKS, Actual(image={}, foreign_rules=(foreign,))) == []


def test_a_table_with_routes_of_others_is_taken() -> None:
    ((what, owner, instead),) = collisions(WANTED, CLAIM, MARKS, Actual(image={}, foreign_routes=("a route",)))
    assert (what, owner, instead) == ("routing table 100", "a route", "choose another netTable")


def test_ownership_follows_the_ledger_and_without_it_what_nobody_claims() -> None:
    other = (Claim(200, 6000),)
    assert owned(Claim(100, 5001), (CLAIM,), other)
    assert owned(Claim(254, 5003), (CLAIM,), other)
    assert not owned(Claim(254, 5004), (CLAIM,), other)
    assert owned(Claim(300, 9000), None, other)
    assert not owned(Claim(254, 6003), None, other)
    assert not owned(Claim(200, -1), None, other)


def test_a_plan_reads_like_a_diff() -> None:
    plan = Plan(steps=(RouteStep(route=ROUTE, add=True),), notes=("why",), warnings=("beware",))
    assert plan.lines() == ("# why", "! beware", "+ ip -4 route local default dev lo table 100 proto 157")
    assert Plan(steps=()).lines() == ("nothing to do",)
