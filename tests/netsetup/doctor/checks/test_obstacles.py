from netsetup.doctor.checks.obstacles import Kind, dropped, hidden
from netsetup.doctor.packet import Packet
from netsetup.doctor.rules import walk
from netsetup.model import Method
from netsetup.state import Family
from tests.netsetup.doctor.cases import capturing, facts, legacy

PACKET = Packet(family=Family.IPV4, iif="eth1", oif="eth2", source="192.0.2.2", dport=80, mark=0x2)


def test_all_that_may_drop_is_named_and_nothing_is_certain_then() -> None:
    rules = ":INPUT DROP\n-A INPUT -m geoip --x y -j DROP\n-A INPUT -m geoip --x z -j ACCEPT"
    found = facts()
    done = walk(legacy(rules)[0], PACKET)
    obstacles = list(dropped(found.flows[0], done, "packets", marks=(1, 0xFF)))
    assert [(one.rule.rpartition(" ")[2], one.certain) for one in obstacles] == [("DROP", False), ("DROP", False)]
    assert all("--mark 0x1/0xff" in one.fix for one in obstacles)


def test_advice_for_other_hooks_is_to_accept_there() -> None:
    done = walk(legacy(":OUTPUT DROP")[0], PACKET)
    (one,) = dropped(facts().flows[0], done, "packets")
    assert (one.kind, one.certain) == (Kind.DROPPED, True)
    assert one.fix == "let iptables-legacy -t filter accept these packets before that rule"


def test_only_what_surely_rewrites_hides_a_client() -> None:
    found = facts(capturing(Method.TPROXY, source=True))

    def of(rule: str) -> list[Kind]:
        done = walk(legacy(f":POSTROUTING ACCEPT\n-A POSTROUTING {rule}", "nat")[0], PACKET)
        return [one.kind for one in hidden(found.flows[0], done, found.marks)]

    assert of("-o eth2 -j SNAT --to-source 198.51.100.1") == [Kind.HIDDEN]
    assert of("-m geoip --x y -j MASQUERADE") == []
    assert of("-m mark ! --mark 0x2/0xff -j MASQUERADE") == []
