from netsetup.doctor.checks.twofold import check
from netsetup.doctor.rules import Action, BaseChain, Rule
from netsetup.state import Family
from tests.netsetup.doctor.cases import facts, legacy, only

NEWER = BaseChain(
    place="nft: inet fw",
    families=(Family.IPV4,),
    hook="input",
    priority=0,
    rules=(Rule(text="x", action=Action.ACCEPT),),
)


def test_others_rules_in_both_are_a_note() -> None:
    older = legacy(":INPUT ACCEPT\n-A INPUT -j ACCEPT")
    found = only(check(facts(chains=(*older, NEWER))))
    assert found.severity.name == "NOTE"
    assert found.evidence == ("iptables-legacy-save: iptables-legacy -t filter", "nft list ruleset: nft: inet fw")
    assert list(check(facts(chains=older))) == []
    assert list(check(facts(chains=(NEWER,)))) == []


def test_ours_beside_others_is_as_it_should_be() -> None:
    ours = legacy(":PREROUTING ACCEPT\n-A PREROUTING -j gtunnel.pre", "mangle")
    assert list(check(facts(chains=(*ours, NEWER)))) == []
