from netsetup.doctor.facts import Answer, Question, RoutingRule
from netsetup.state import Family, Mark
from tests.netsetup.doctor.cases import facts


def test_a_setting_of_all_interfaces_counts_for_each() -> None:
    found = facts(sysctls={"net/ipv4/conf/all/rp_filter": "1", "net/ipv4/conf/eth1/rp_filter": "2", "odd": "x"})
    assert found.of_interface("eth1", "rp_filter") == 2
    assert found.of_interface("eth2", "rp_filter") == 1
    assert found.of_interface("eth2", "src_valid_mark") == 0
    assert found.sysctl("odd") == 0


def test_addresses_of_this_machine() -> None:
    assert facts().is_own("198.51.100.1")
    assert not facts().is_own("198.51.100.2")
    assert facts().interface("eth9") is None


def test_a_question_is_a_command_to_type() -> None:
    asked = Question(family=Family.IPV4, destination="198.51.100.2", source="192.0.2.2", iif="eth1", mark=1)
    assert asked.command == "ip -4 route get 198.51.100.2 from 192.0.2.2 iif eth1 mark 0x1"
    assert Question(family=Family.IPV6, destination="2001:db8::1").command == "ip -6 route get 2001:db8::1"


def test_answers_for_people() -> None:
    assert str(Answer(local=True, interface="lo")) == "local"
    assert str(Answer(interface="eth2", gateway="192.0.2.9")) == "dev eth2 via 192.0.2.9"
    assert str(Answer(error="Network is unreachable")) == "Network is unreachable"


def test_which_marks_a_routing_rule_may_match() -> None:
    def rule(mark: Mark | None, *, inverted: bool = False) -> RoutingRule:
        return RoutingRule(family=Family.IPV4, priority=1, text="", mark=mark, inverted=inverted)

    assert rule(None).may_match(1)
    assert rule(Mark(1, 0xFF)).may_match(0x101)
    assert not rule(Mark(0x10000, 0xFF0000)).may_match(1)
    assert rule(Mark(51820, 0xFFFFFFFF), inverted=True).may_match(1)
    assert not rule(Mark(1, 0xFF), inverted=True).may_match(1)
