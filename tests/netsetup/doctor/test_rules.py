from netsetup.doctor.packet import Packet, Truth
from netsetup.doctor.rules import Action, BaseChain, Rule, at_hook, walk
from netsetup.state import Family
from tests.netsetup.doctor.cases import legacy

PACKET = Packet(family=Family.IPV4, iif="eth1", source="192.0.2.2", dport=80, to_here=False)


def dropped(text: str) -> Truth:
    """Whether a packet to port 80 is dropped by these rules of the filter table."""
    (chain,) = (one for one in legacy(text) if one.hook == "input")
    return walk(chain, PACKET).dropped


def test_the_first_rule_that_surely_matches_decides() -> None:
    assert dropped(":INPUT DROP\n-A INPUT -p tcp --dport 80 -j ACCEPT") is Truth.NO
    assert dropped(":INPUT ACCEPT\n-A INPUT -p tcp --dport 80 -j DROP\n-A INPUT -j ACCEPT") is Truth.YES
    assert dropped(":INPUT ACCEPT\n-A INPUT -p udp -j DROP") is Truth.NO


def test_what_is_not_understood_is_only_possible() -> None:
    assert dropped(":INPUT DROP\n-A INPUT -m geoip --source-country XX -j ACCEPT") is Truth.UNKNOWN
    assert dropped(":INPUT ACCEPT\n-A INPUT -m geoip --source-country XX -j DROP") is Truth.UNKNOWN
    assert dropped(":INPUT DROP\n-A INPUT -m geoip --source-country XX -j DROP") is Truth.YES


def test_chains_are_followed_and_come_back() -> None:
    jump = ":INPUT DROP\n:some -\n-A INPUT -j some\n"
    assert dropped(f"{jump}-A some -p tcp -j ACCEPT") is Truth.NO
    assert dropped(f"{jump}-A some -j RETURN\n-A some -j ACCEPT") is Truth.YES
    assert dropped(f"{jump}-A some -m geoip --x y -j RETURN\n-A some -j ACCEPT") is Truth.UNKNOWN
    assert dropped(f"{jump}-A some -p udp -j ACCEPT") is Truth.YES
    goto = ":INPUT DROP\n:some -\n-A INPUT -g some\n-A INPUT -j ACCEPT\n"
    assert dropped(f"{goto}-A some -p udp -j ACCEPT") is Truth.YES
    assert dropped(":INPUT DROP\n:some -\n-A INPUT -m geoip --x y -j some\n-A some -j ACCEPT") is Truth.UNKNOWN


def test_a_loop_comes_to_an_end() -> None:
    assert dropped(":INPUT DROP\n:a -\n:b -\n-A INPUT -j a\n-A a -j b\n-A b -j a") is Truth.YES


def test_a_changed_mark_is_seen_by_later_rules() -> None:
    (chain,) = (
        one
        for one in legacy(
            ":PREROUTING ACCEPT\n-A PREROUTING -j MARK --set-xmark 0x5/0xff\n-A PREROUTING -m mark --mark 0x5 -j DROP",
            "mangle",
        )
        if one.hook == "prerouting"
    )
    done = walk(chain, PACKET)
    assert done.dropped is Truth.YES
    assert done.packet.mark == 5
    assert [event.mark for event in done.of(Action.MARK)] == [5]


def base(
    priority: int, *, hook: str = "input", nat: bool = False, families: tuple[Family, ...] = tuple(Family)
) -> BaseChain:
    rules = (Rule(text="x", action=Action.DROP),)
    return BaseChain(place=f"at {priority}", families=families, hook=hook, priority=priority, rules=rules, nat=nat)


def test_base_chains_are_met_by_priority() -> None:
    chains = (base(5), base(-5), base(0, hook="output"), base(1, families=(Family.IPV6,)), base(7, nat=True))
    assert [one.place for one in at_hook(chains, "input", PACKET)] == ["at -5", "at 5", "at 7"]
    answer = Packet(family=Family.IPV4, state="established")
    assert [one.place for one in at_hook(chains, "input", answer)] == ["at -5", "at 5"]


def test_the_policy_is_named() -> None:
    (chain,) = (one for one in legacy(":INPUT DROP") if one.hook == "input")
    assert [event.text for event in walk(chain, PACKET).events] == ["iptables-legacy -t filter: -P INPUT DROP"]
