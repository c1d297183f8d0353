import pytest

from netsetup.doctor.iptables_text import parse
from netsetup.doctor.packet import Packet, Truth, all_of
from netsetup.doctor.rules import Action, Rule
from netsetup.state import Family

PACKET = Packet(
    family=Family.IPV4,
    iif="eth1",
    oif="",
    source="192.0.2.2",
    destination="198.51.100.2",
    dport=80,
    mark=0x101,
    to_here=False,
    symmetric=True,
)
YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN


def rule(text: str, chains: str = "") -> Rule:
    saved = f"# comment\n*filter\n:INPUT ACCEPT [0:0]\n{chains}-A INPUT {text}\nCOMMIT\n"
    (chain,) = parse(saved, "iptables-legacy", Family.IPV4, "gtunnel")
    return chain.rules[0]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("-s 192.0.2.0/24", YES),
        ("! -s 192.0.2.0/24", NO),
        ("-d 203.0.113.0/24", NO),
        ("-i eth1", YES),
        ("-i eth+", YES),
        ("-i lo", NO),
        ("-p tcp", YES),
        ("-p udp -m udp --dport 80", NO),
        ("-p tcp -m tcp --dport 80", YES),
        ("-p tcp -m tcp --dport 81:90", NO),
        ("-p tcp -m tcp ! --dport 81", YES),
        ("-p tcp -m tcp --dport :100", YES),
        ("-p tcp -m tcp --sport 1024:65535", UNKNOWN),
        ("-p tcp -m multiport --dports 22,80,443", YES),
        ("-p tcp -m multiport --dports 22,443:445", NO),
        ("-m iprange --src-range 192.0.2.1-192.0.2.9", YES),
        ("-m conntrack --ctstate NEW,ESTABLISHED", YES),
        ("-m conntrack --ctstate INVALID", NO),
        ("-m conntrack ! --ctstate INVALID", YES),
        ("-m conntrack --ctstate SNAT", UNKNOWN),
        ("-m conntrack --ctdir REPLY", UNKNOWN),
        ("-m state --state RELATED", NO),
        ("-m mark --mark 0x1/0xff", YES),
        ("-m mark --mark 0x1", NO),
        ("-m connmark --mark 0x9", UNKNOWN),
        ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", YES),
        ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", NO),
        ("-m addrtype --dst-type LOCAL", NO),
        ("-m addrtype ! --dst-type LOCAL", YES),
        ("-m addrtype --dst-type UNICAST", UNKNOWN),
        ("-m addrtype --dst-type BROADCAST", NO),
        ("-m set --match-set bad src", UNKNOWN),
        ("-m socket --transparent", UNKNOWN),
        ("-m rpfilter", YES),
        ("-m rpfilter --validmark --invert", NO),
        ("-m rpfilter --loose --invert", NO),
        ("-m conntrack --ctstate DNAT", NO),
        ('-m comment --comment "with blanks -j ACCEPT"', YES),
        ("-m limit --limit 3/sec -s 203.0.113.1", NO),
    ],
)
def test_conditions(words: str, answer: Truth) -> None:
    found = rule(f"{words} -j DROP")
    assert all_of(condition(PACKET) for condition in found.conditions) is answer
    assert found.action is Action.DROP


@pytest.mark.parametrize(
    ("target", "action"),
    [
        ("-j ACCEPT", Action.ACCEPT),
        ("-j REJECT --reject-with icmp-port-unreachable", Action.DROP),
        ("-j LOG --log-prefix dropped", Action.NOTHING),
        ("-j gtunnel.pre", Action.OURS),
        ("-j other", Action.JUMP),
        ("-g other", Action.GOTO),
        ("-j REDIRECT --to-ports 22", Action.REWRITE),
        ("-j CT --notrack", Action.UNTRACK),
        ("-j CT --helper ftp", Action.NOTHING),
        ("-j SOMETHING", Action.NOTHING),
        ("", Action.NOTHING),
    ],
)
def test_targets(target: str, action: Action) -> None:
    assert rule(f"-p tcp {target}", ":other - [0:0]\n").action is action


@pytest.mark.parametrize(
    ("words", "mark"),
    [
        ("MARK --set-xmark 0x10/0xff", 0x110),
        ("MARK --set-xmark 0x1/0x0", 0x100),
        ("MARK --set-xmark 0x7/0xffffffff", 0x7),
        ("CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff", 0x100),
    ],
)
def test_marks(words: str, mark: int) -> None:
    found = rule(f"-j {words}")
    assert found.action is Action.MARK
    assert found.new_mark is not None
    assert found.new_mark(0x101) == mark


def test_a_mark_that_is_not_known_stays_so_unless_all_of_it_is_set() -> None:
    partly, wholly = rule("-j MARK --set-xmark 0x1/0xff").new_mark, rule("-j MARK --set-xmark 0x1/0xffffffff").new_mark
    assert partly is not None
    assert wholly is not None
    assert (partly(None), wholly(None)) == (None, 1)


def test_nobody_knows_what_a_queue_s_program_says() -> None:
    found = rule("-j NFQUEUE --queue-num 1")
    assert all_of(condition(PACKET) for condition in found.conditions) is UNKNOWN


def test_tables_hooks_and_priorities() -> None:
    saved = "*nat\n:PREROUTING ACCEPT\n:POSTROUTING ACCEPT\n:INPUT DROP\nCOMMIT\n*mangle\n:FORWARD ACCEPT\nCOMMIT\n"
    found = parse(f"{saved}*odd\nCOMMIT", "ip6tables-nft", Family.IPV6, "gtunnel")
    assert [(one.hook, one.priority, one.nat, one.legacy) for one in found] == [
        ("prerouting", -100, True, False),
        ("postrouting", 100, True, False),
        ("input", 100, True, False),
        ("forward", -150, False, False),
    ]
    assert found[2].policy is Action.DROP
