import pytest

from netsetup.state import MAIN_TABLE, Family, ForeignRule, IpRule, Mark, Route


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (
            IpRule(family=Family.IPV4, priority=5000, table=MAIN_TABLE, mark=Mark(1, 0xFF), interface="lo"),
            "ip -4 rule pref 5000 from all fwmark 0x1/0xff iif lo lookup main proto 157",
        ),
        (
            IpRule(family=Family.IPV6, priority=5, table=7, interface="lo", source="::1", source_port=80),
            "ip -6 rule pref 5 from ::1 iif lo ipproto tcp sport 80 lookup 7 proto 157",
        ),
        (Route(family=Family.IPV6, table=7), "ip -6 route local default dev lo table 7 proto 157"),
        (ForeignRule(family=Family.IPV4, priority=9, table=7), "ip -4 rule pref 9 lookup 7"),
    ],
)
def test_state_reads_like_ip(what: object, text: str) -> None:
    assert str(what) == text


def test_a_rule_of_another_instance_can_collide() -> None:
    rule = IpRule(family=Family.IPV4, priority=5, table=7, mark=Mark(1, 3))
    assert rule.as_foreign() == ForeignRule(family=Family.IPV4, priority=5, table=7, mark=Mark(1, 3))


def test_families_know_their_length() -> None:
    assert (Family.IPV4.bits, Family.IPV6.bits) == (32, 128)
