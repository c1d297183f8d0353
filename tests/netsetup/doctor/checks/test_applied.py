from dataclasses import replace

from netsetup.doctor.checks.applied import check
from netsetup.doctor.facts import RoutingRule
from netsetup.state import Family
from tests.netsetup.doctor.cases import INTERFACES, capturing, facts, legacy, only, titles

OURS = RoutingRule(family=Family.IPV4, priority=5001, text="", ours=True)


def test_nothing_is_wrong() -> None:
    assert list(check(facts())) == []


def test_not_applied_and_changed_since_are_two_things() -> None:
    drift = tuple(f"+ rule {number}" for number in range(9))
    absent = only(check(facts(drift=drift)))
    assert absent.title == "The kernel is not set up for this configuration"
    assert absent.evidence[-2:] == ("+ rule 5", "… and 3 more: `gtunnel netsetup status`")
    for there in ({"rules": (OURS,)}, {"chains": legacy(":PREROUTING ACCEPT\n-A PREROUTING -j gtunnel.pre", "mangle")}):
        assert only(check(facts(drift=drift[:1], **there))).title.startswith("What netsetup has set up differs")
    other = replace(OURS, priority=7001)  # another instance's
    assert only(check(facts(drift=drift, rules=(other,)))).title.startswith("The kernel is not set up")


def test_collisions() -> None:
    taken = ("routing table 100", "ip -4 rule pref 77 lookup 100", "choose another netTable")
    found = only(check(facts(collisions=(taken,))))
    assert found.title == "routing table 100 is used by something else"
    assert found.evidence == ("ip -4 rule pref 77 lookup 100",)
    assert found.fix.startswith("choose another netTable")


def test_interfaces_that_are_not_there_or_down() -> None:
    interfaces = (*INTERFACES[:1], replace(INTERFACES[1], up=False))
    found = check(facts(capturing(interfaces=("eth1", "ppp0")), interfaces=interfaces))
    assert titles(found) == [
        "warning: [web] captureInterface eth1 is down",
        "warning: [web] captureInterface ppp0 does not exist",
    ]


def test_what_was_not_looked_at_is_a_note() -> None:
    assert titles(check(facts(unread=("nft is not installed",)))) == ["note: Not everything could be looked at"]
