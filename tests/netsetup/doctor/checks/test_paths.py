"""What others' rules do, by the kind of obstacle. That the doctor names real ones is seen in test_checkup."""

import pytest

from netsetup.doctor.checks.obstacles import Kind, Obstacle
from netsetup.doctor.checks.paths import answers, connections, incoming, outgoing_local
from netsetup.doctor.facts import Answer, Question
from netsetup.doctor.samples import samples
from netsetup.model import Method, Request
from netsetup.state import Family
from tests.netsetup.doctor.cases import capturing, facts, keeping, legacy

OURS_MANGLE = "-A PREROUTING -j gtunnel.pre"
OURS_NAT = "-A PREROUTING -j gtunnel.npre"


def met(rules: str, table: str, request: Request | None = None) -> list[tuple[Kind, bool]]:
    """What a captured packet of IPv4 meets in these rules."""
    found = facts(request or capturing(), chains=legacy(rules, table))
    (sample,) = samples(found, found.flows[0])
    return _kinds(list(incoming(found, found.flows[0], sample)))


def _kinds(obstacles: list[Obstacle]) -> list[tuple[Kind, bool]]:
    return [(one.kind, one.certain) for one in obstacles]


@pytest.mark.parametrize(
    ("rules", "tproxy", "redirect"),
    [
        (":INPUT DROP", True, True),
        (":INPUT DROP\n-A INPUT -p tcp -m tcp --dport 9443 -j ACCEPT", True, False),
        (":INPUT DROP\n-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", False, True),
        (":INPUT DROP\n-A INPUT -m mark --mark 0x1/0xff -j ACCEPT", False, True),
        (":INPUT DROP\n-A INPUT -i eth1 -j ACCEPT", False, False),
        (":INPUT ACCEPT\n-A INPUT -m addrtype ! --dst-type LOCAL -j DROP", True, False),
        (":INPUT ACCEPT\n-A INPUT -m conntrack --ctstate INVALID -j DROP", False, False),
        (":INPUT DROP\n-A INPUT -m conntrack --ctstate DNAT -j ACCEPT", True, False),
    ],
)
def test_at_input_tproxy_s_packets_have_their_own_port_and_our_mark(rules: str, tproxy: bool, redirect: bool) -> None:
    assert met(rules, "filter") == [(Kind.DROPPED, True)] * tproxy
    assert met(rules, "filter", capturing(Method.REDIRECT)) == [(Kind.DROPPED, True)] * redirect


def test_what_is_not_understood_may_be() -> None:
    assert met(":INPUT ACCEPT\n-A INPUT -m geoip --x y -j DROP", "filter") == [(Kind.DROPPED, False)]


def test_before_our_rule_others_may_keep_packets_from_it() -> None:
    before = ":PREROUTING ACCEPT\n-A PREROUTING -i eth1 -j {}\n"
    assert met(before.format("ACCEPT") + OURS_MANGLE, "mangle") == [(Kind.KEPT_FROM_US, True)]
    assert met(before.format("DROP") + OURS_MANGLE, "mangle") == [(Kind.DROPPED, True)]
    after = f":PREROUTING DROP\n{OURS_MANGLE}\n-A PREROUTING -j DROP"
    assert met(after, "mangle") == []


def test_redirecting_first_takes_what_we_would_redirect() -> None:
    redirect = capturing(Method.REDIRECT)
    rule = "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 81"
    assert met(f":PREROUTING ACCEPT\n{rule}\n{OURS_NAT}", "nat", redirect) == [(Kind.TAKEN, True)]
    assert met(f":PREROUTING ACCEPT\n{OURS_NAT}\n{rule}", "nat", redirect) == []
    assert met(f":PREROUTING ACCEPT\n{rule}", "nat") == [(Kind.REWRITTEN, True)]


def test_untracked_packets_are_not_rewritten() -> None:
    rules = ":PREROUTING ACCEPT\n-A PREROUTING -p tcp -j CT --notrack"
    assert met(rules, "raw", capturing(Method.REDIRECT)) == [(Kind.UNTRACKED, True)]
    assert met(rules, "raw", capturing(fail_closed=False)) == []


def test_answers_are_accepted_as_established_or_by_our_mark() -> None:
    def of(rules: str, table: str = "filter") -> list[tuple[Kind, bool]]:
        found = facts(capturing(source=True), chains=legacy(rules, table))
        return _kinds(list(answers(found, found.flows[0])))

    assert of(":INPUT DROP") == [(Kind.DROPPED, True)]
    assert of(":INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT") == []
    assert of(":INPUT DROP\n-A INPUT -m mark --mark 0x1/0xff -j ACCEPT") == []
    assert of(":PREROUTING ACCEPT\n-A PREROUTING -i eth2 -j DROP", "raw") == [(Kind.DROPPED, True)]


def test_masquerading_hides_the_client_where_its_address_is_kept() -> None:
    def of(rules: str, request: Request, table: str = "nat") -> list[tuple[Kind, bool]]:
        found = facts(request, chains=legacy(rules, table))
        return _kinds(list(connections(found, found.flows[0])))

    rule = ":POSTROUTING ACCEPT\n-A POSTROUTING -o eth2 -j MASQUERADE"
    assert of(rule, capturing(source=True)) == [(Kind.HIDDEN, True)]
    assert of(rule, keeping("198.51.100.2")) == [(Kind.HIDDEN, True)] * 2  # by both interfaces that clients come in by
    assert of(rule, capturing()) == []
    assert of(rule.replace("eth2", "eth3"), capturing(source=True)) == []
    spared = rule.replace("-o eth2", "-o eth2 -m mark ! --mark 0x2/0xff")
    assert of(spared, capturing(source=True)) == []
    assert of(":OUTPUT DROP", capturing(), "filter") == [(Kind.DROPPED, True)]


def test_the_gateway_s_own_traffic_is_captured_at_output_and_comes_in_by_loopback() -> None:
    def of(rules: str, table: str, method: Method) -> list[tuple[Kind, bool]]:
        found = facts(capturing(method, local=True), chains=legacy(rules, table))
        return _kinds(list(outgoing_local(found, found.flows[1])))

    assert of(":INPUT DROP\n-A INPUT -i lo -j ACCEPT", "filter", Method.TPROXY) == []
    assert of(":INPUT DROP", "filter", Method.REDIRECT) == [(Kind.DROPPED, True)]
    first = ":OUTPUT ACCEPT\n-A OUTPUT -p tcp -j DNAT --to-destination 198.51.100.9\n-A OUTPUT -j gtunnel.nout"
    assert of(first, "nat", Method.REDIRECT) == [(Kind.TAKEN, True)]


def test_a_firewall_s_own_reverse_path_filter() -> None:
    rules = ":PREROUTING ACCEPT\n-A PREROUTING -m rpfilter --invert -j DROP"
    assert met(rules, "raw") == []
    back = Question(family=Family.IPV4, destination="192.0.2.2")
    found = facts(chains=legacy(rules, "raw"), say={back: Answer(interface="eth2")})
    (sample,) = samples(found, found.flows[0])
    assert _kinds(list(incoming(found, found.flows[0], sample))) == [(Kind.DROPPED, True)]
