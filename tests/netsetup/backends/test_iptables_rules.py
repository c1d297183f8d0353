import json

import pytest

from netsetup.backends.iptables_rules import content, render, rule_text, unit_name, unit_parts
from netsetup.state import (
    Accept,
    Chain,
    Direction,
    Dnat,
    Drop,
    Family,
    Hook,
    Jump,
    Mark,
    Match,
    Redirect,
    Return,
    Rule,
    SetConnectionMark,
    SetMark,
    Table,
    Tproxy,
)

MARK = Mark(1, 0xFF)


def _line(rule: Rule, family: Family = Family.IPV4) -> str:
    chain = Chain(family=family, table=Table.MANGLE, name="c", rules=(rule,))
    (unit,) = render((chain,), "gt").values()
    text = unit.lines[-1].partition(" -A gt.c ")[2]
    return text.replace("-m comment --comment gt:shared ", "")


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Accept(), "-j ACCEPT"),
        (Return(), "-j RETURN"),
        (Drop(), "-j DROP"),
        (Jump("x"), "-j gt.x"),
        (SetMark(MARK), "-j MARK --set-xmark 0x1/0xff"),
        (SetConnectionMark(MARK), "-j CONNMARK --set-xmark 0x1/0xff"),
        (Tproxy("::1", 9, MARK), "-j TPROXY --on-ip ::1 --on-port 9 --tproxy-mark 0x1/0xff"),
        (Redirect(9), "-j REDIRECT --to-ports 9"),
        (Dnat("192.0.2.1", 9), "-j DNAT --to-destination 192.0.2.1:9"),
        (Dnat("::1", 9), "-j DNAT --to-destination [::1]:9"),
    ],
)
def test_verdicts(verdict: object, text: str) -> None:
    assert _line(Rule(verdict=verdict)) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("match", "text"),
    [
        (Match(), "-p tcp"),
        (Match(tcp=False, interface="e"), "-i e"),
        (Match(outside=True), "! -i lo -p tcp"),
        (Match(outside=True, interface="e"), "-i e -p tcp"),
        (Match(source="192.0.2.0/24", destination="192.0.2.9"), "-s 192.0.2.0/24 -d 192.0.2.9/32 -p tcp"),
        (Match(source="0.0.0.0/0"), "-p tcp"),
        (Match(ports=(80, 80)), "-p tcp -m tcp --dport 80"),
        (Match(ports=(80, 89), syn=True), "-p tcp -m tcp --dport 80:89 --tcp-flags FIN,SYN,RST,ACK SYN"),
        (Match(transparent_socket=True), "-p tcp -m socket --transparent"),
        (Match(local_destination=True, mark=MARK), "-p tcp -m mark --mark 0x1/0xff -m addrtype --dst-type LOCAL"),
        (
            Match(connection_mark=MARK, direction=Direction.REPLY),
            "-p tcp -m connmark --mark 0x1/0xff -m conntrack --ctdir REPLY",
        ),
    ],
)
def test_matches(match: Match, text: str) -> None:
    assert _line(Rule(match=match, verdict=Accept())) == f"{text} -j ACCEPT"


@pytest.mark.parametrize(
    ("service", "comment"),
    [("web", "gt:web"), ("a b\"'\n€", "gt:a_b____"), ("x" * 300, "gt:" + "x" * 97), (None, "gt:shared")],
)
def test_comments_hold_nothing_that_iptables_would_change(service: str | None, comment: str) -> None:
    chain = Chain(family=Family.IPV4, table=Table.NAT, name="c", rules=(Rule(verdict=Accept(), service=service),))
    (unit,) = render((chain,), "gt").values()
    assert json.loads(unit.data)["chains"]["gt.c"][0]["comment"] == {"comment": comment}


def test_a_hooked_chain_is_called_from_the_built_in_one() -> None:
    chain = Chain(family=Family.IPV6, table=Table.NAT, name="c", rules=(), hook=Hook.OUTPUT)
    image = render((chain,), "gt")
    assert image["ip6tables-legacy nat"].lines == (
        "ip6tables-legacy -t nat -N gt.c",
        "ip6tables-legacy -t nat -I OUTPUT -m comment --comment gt:shared -j gt.c",
    )


def test_the_order_of_keys_and_chains_does_not_matter_that_of_rules_does() -> None:
    first = {"protocol": "tcp", "tcp": {"dport": "1", "sport": "2"}, "target": "ACCEPT"}
    second = {"target": "ACCEPT", "tcp": {"sport": "2", "dport": "1"}, "protocol": "tcp"}
    other = {"target": "DROP"}
    one = content("iptables-legacy nat", {"chains": {"a": [first, other], "b": []}, "hooks": {}})
    same = content("iptables-legacy nat", {"chains": {"b": [], "a": [second, other]}, "hooks": {}})
    turned = content("iptables-legacy nat", {"chains": {"b": [], "a": [other, second]}, "hooks": {}})
    assert one == same
    assert one != turned


def test_rules_of_any_shape_can_be_shown() -> None:
    rule = {"src": "!192.0.2.1/32", "multi": [{"a": "1"}, {"a": "!2"}], "plain": "x", "target": {"goto": "c"}}
    assert rule_text(rule) == "! -s 192.0.2.1/32 -m multi --a 1 -m multi ! --a 2 -m plain x -g c"
    assert rule_text({"protocol": "tcp"}) == "-p tcp"


@pytest.mark.parametrize("family", Family)
def test_units_have_two_parts(family: Family) -> None:
    assert unit_parts(unit_name(family, "nat")) == (family, "nat")
