from netsetup.doctor.checks.firewall import check
from netsetup.doctor.rules import Action, BaseChain, Rule
from netsetup.model import Method
from netsetup.state import Family
from tests.netsetup.doctor.cases import capturing, facts, keeping, legacy, only, titles

FOUR = (Family.IPV4,)


def test_nothing_is_wrong() -> None:
    chains = legacy(":INPUT DROP\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n-A INPUT -i eth1 -j ACCEPT")
    assert list(check(facts(chains=chains))) == []


def test_a_rule_is_named_once_with_an_example() -> None:
    found = only(check(facts(capturing(ports=((80, 90),)), chains=legacy(":INPUT ACCEPT\n-A INPUT -i eth1 -j DROP"))))
    assert found.title == "[web] IPv4: captured packets are dropped"
    assert found.evidence == (
        "iptables-legacy -t filter: -A INPUT -i eth1 -j DROP",
        "for example: tcp iif eth1 from 192.0.2.2 dport 80",
    )
    assert "--mark 0x1/0xff -j ACCEPT" in found.fix


def test_for_a_redirect_it_is_the_listener_s_port_that_has_to_be_accepted() -> None:
    found = only(check(facts(capturing(Method.REDIRECT), chains=legacy(":INPUT DROP"))))
    assert "--dport 9443 -j ACCEPT" in found.fix


def test_what_one_of_several_interfaces_drops_is_a_note() -> None:
    chains = legacy(":INPUT ACCEPT\n-A INPUT -i eth2 -j DROP")
    assert titles(check(facts(capturing(interfaces=()), chains=chains))) == [
        "note: [web] IPv4: captured packets are dropped"
    ]
    assert list(check(facts(chains=chains))) == []
    assert titles(check(facts(capturing(interfaces=("eth1", "eth2")), chains=chains))) == [
        "error: [web] IPv4: captured packets are dropped"
    ]


def test_a_listener_that_is_open_to_one_interface_only_is_nobody_s_fault() -> None:
    request = keeping("198.51.100.2")
    rules = ":INPUT ACCEPT\n-A INPUT -i eth2 -p tcp -m tcp --dport 9443 -j DROP"
    assert list(check(facts(request, chains=legacy(rules)))) == []
    rules = ":INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 9443 -j DROP"
    found = set(titles(check(facts(request, chains=legacy(rules)))))
    assert found == {"error: [keep] IPv4: clients' packets are dropped"}


def test_what_is_only_possible_is_a_note_and_says_so() -> None:
    found = only(check(facts(chains=legacy(":INPUT ACCEPT\n-A INPUT -m geoip --x y -j DROP"))))
    assert found.severity.name == "NOTE"
    assert found.title == "[web] IPv4: captured packets may be dropped"


def test_a_mark_that_is_overwritten_behind_our_rules() -> None:
    ours = BaseChain(place="nft: inet gtunnel", families=FOUR, hook="prerouting", priority=-150, rules=(), ours=True)

    def marking(priority: int, value: int) -> BaseChain:
        rule = Rule(text="mark", action=Action.MARK, new_mark=lambda _old: value)
        return BaseChain(place="nft: inet x", families=FOUR, hook="prerouting", priority=priority, rules=(rule,))

    found = only(check(facts(chains=(ours, marking(-140, 0x100)))))
    assert found.title == "[web] IPv4: packets to be captured lose our mark"
    assert list(check(facts(chains=(ours, marking(-140, 0x101))))) == []
    assert list(check(facts(chains=(ours, marking(-200, 0x100))))) == []


def test_at_the_same_priority_nobody_knows_who_is_first() -> None:
    taking = Rule(text="redirect", action=Action.REWRITE)
    chains = tuple(
        BaseChain(place=place, families=FOUR, hook="prerouting", priority=-100, rules=rules, nat=True, ours=own)
        for place, rules, own in (("nft: inet gtunnel", (), True), ("nft: ip x", (taking,), False))
    )
    found = only(check(facts(capturing(Method.REDIRECT), chains=chains)))
    assert found.title == "[web] IPv4: packets to be captured may be taken by another rule first"


def test_what_is_dropped_as_soon_as_it_comes_in() -> None:
    rule = Rule(text="drop", action=Action.DROP)

    def early(*devices: str) -> BaseChain:
        return BaseChain(
            place="nft: netdev x", families=FOUR, hook="ingress", priority=0, rules=(rule,), devices=devices or None
        )

    assert titles(check(facts(chains=(early("eth1"),)))) == ["error: [web] IPv4: packets to be captured are dropped"]
    assert list(check(facts(chains=(early("eth2"),)))) == []
    assert titles(check(facts(chains=(early(),)))) == ["note: [web] IPv4: packets to be captured may be dropped"]


def test_advice_is_about_the_packets_that_it_is_for() -> None:
    request = capturing(Method.REDIRECT, source=True)
    found = list(check(facts(request, chains=legacy(":INPUT DROP\n-A INPUT -i eth1 -j ACCEPT"))))
    assert titles(found) == ["error: [web] IPv4: servers' answers are dropped"]
    assert "--ctstate ESTABLISHED" in found[0].fix
    hidden = only(check(facts(request, chains=legacy(":POSTROUTING ACCEPT\n-A POSTROUTING -j MASQUERADE", "nat"))))
    assert "-m mark ! --mark 0x2/0xff" in hidden.fix


def test_what_may_be_is_said_in_english() -> None:
    ours = BaseChain(place="nft: inet gtunnel", families=FOUR, hook="prerouting", priority=-150, rules=(), ours=True)
    rule = Rule(text="mark", action=Action.MARK, new_mark=lambda _old: None)
    late = BaseChain(place="nft: inet x", families=FOUR, hook="prerouting", priority=-140, rules=(rule,))
    found = only(check(facts(chains=(ours, late))))
    assert found.title == "[web] IPv4: packets to be captured may lose our mark"
