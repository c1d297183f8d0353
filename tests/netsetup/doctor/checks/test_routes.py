from netsetup.doctor.checks.routes import check
from netsetup.doctor.facts import Answer, Question, RoutingRule
from netsetup.model import Method
from netsetup.state import Family, Mark
from tests.netsetup.doctor.cases import capturing, facts, only, titles

CAPTURED = Question(family=Family.IPV4, destination="198.18.0.99", source="192.0.2.2", iif="eth1", mark=1)
BACK = Question(family=Family.IPV4, destination="192.0.2.2")
BACK_MARKED = Question(family=Family.IPV4, destination="192.0.2.2", mark=1)
ANSWER = Question(family=Family.IPV4, destination="192.0.2.2", source="198.51.100.2", iif="eth2", mark=1)
REFUSED = Answer(error="Invalid argument")
VPN = RoutingRule(
    family=Family.IPV4,
    priority=4990,
    text="ip -4 rule: 4990: not from all fwmark 0xca6c lookup 51820",
    mark=Mark(0xCA6C, 0xFFFFFFFF),
    inverted=True,
)
HARMLESS = RoutingRule(family=Family.IPV4, priority=900, text="harmless", mark=Mark(0x10000, 0xFF0000))


def test_nothing_is_wrong() -> None:
    for method in Method.TPROXY, Method.REDIRECT:
        assert list(check(facts(capturing(method, source=True, local=True)))) == []


def test_a_vpn_s_rule_before_ours_is_named() -> None:
    found = only(check(facts(rules=(VPN, HARMLESS), say={CAPTURED: Answer(interface="wg0")})))
    assert found.title == "[web] IPv4: another routing rule takes captured packets before ours does"
    assert found.evidence == (VPN.text, f"{CAPTURED.command}: dev wg0")
    assert "netPriority = 4986" in found.fix


def test_servers_answers_are_looked_at_too() -> None:
    request = capturing(Method.REDIRECT, source=True)
    found = only(check(facts(request, rules=(VPN,), say={ANSWER: Answer(interface="wg0")})))
    assert found.title == "[web] IPv4: another routing rule takes servers' answers before ours does"


def test_a_missing_rule_of_ours_is_drift_and_not_said_again() -> None:
    assert list(check(facts(drift=("+ ip rule",), say={CAPTURED: Answer(interface="eth2")}))) == []
    assert list(check(facts(drift=("+ ip rule",), say={CAPTURED: REFUSED}))) == []


def test_src_valid_mark() -> None:
    sysctls = {"net/ipv4/conf/all/src_valid_mark": "1"}
    found = only(check(facts(sysctls=sysctls, say={CAPTURED: REFUSED, BACK_MARKED: Answer(local=True)})))
    assert found.title == "[web] IPv4: src_valid_mark makes the kernel take clients for itself"
    assert found.evidence[0] == "net.ipv4.conf.all.src_valid_mark = 1, net.ipv4.conf.eth1.src_valid_mark = 0"


def test_the_reverse_path_filter() -> None:
    sysctls = {"net/ipv4/conf/eth1/rp_filter": "1"}
    say = {CAPTURED: REFUSED, BACK: Answer(interface="eth2")}
    found = only(check(facts(sysctls=sysctls, say=say)))
    assert found.title == "[web] IPv4: the reverse path filter throws packets from 192.0.2.2 on eth1 away"
    assert "ip -4 route get 192.0.2.2: dev eth2" in found.evidence


def test_one_way_in_is_enough_for_a_client() -> None:
    sysctls = {"net/ipv4/conf/all/rp_filter": "1"}
    request = capturing(interfaces=(), from_networks=("192.0.2.0/24",))
    other = [
        Question(family=Family.IPV4, destination=host, source="192.0.2.2", iif="eth2", mark=1)
        for host in ("198.18.0.99", "192.0.2.2")
    ]
    assert list(check(facts(request, sysctls=sysctls, say=dict.fromkeys(other, REFUSED)))) == []


def test_other_refusals_of_the_kernel() -> None:
    found = only(check(facts(say={CAPTURED: Answer(error="Network is unreachable")})))
    assert found.title == "[web] IPv4: the kernel has no way for packets from 192.0.2.2 on eth1"


def test_local_traffic_that_is_not_turned_round() -> None:
    local = Question(family=Family.IPV6, destination="2001:2::99", mark=3)
    found = check(facts(capturing(local=True), say={local: Answer(interface="eth2")}))
    assert titles(found) == [
        "error: [web] IPv6 of the gateway's own: another routing rule takes captured packets before ours does"
    ]


def test_what_was_refused_earlier_is_a_note_where_the_filter_is_strict() -> None:
    strict = {"net/ipv4/conf/eth1/rp_filter": "1"}
    assert titles(check(facts(sysctls=strict, refused_by_reverse_path=5))) == [
        "note: The reverse path filter has thrown packets away"
    ]
    assert list(check(facts(refused_by_reverse_path=5))) == []
    assert list(check(facts(sysctls=strict))) == []
