import pytest

from netsetup.backends.nftables_rules import definition, flat, removal, replacement
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

MARK = Mark(0x1, 0xFF)


def _line(rule: Rule, family: Family = Family.IPV4) -> str:
    """The rule alone, without its comment."""
    chain = Chain(family=family, table=Table.MANGLE, name="c", rules=(rule,))
    line = definition((chain,), "gt").splitlines()[3]
    return line.strip().replace(' comment "gt:shared"', "")


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        (Accept(), "accept"),
        (Return(), "return"),
        (Drop(), "counter drop"),
        (Jump("x"), "jump v4_x"),
        (SetMark(MARK), "meta mark set meta mark & 0xffffff00 | 0x1"),
        (SetConnectionMark(MARK), "ct mark set ct mark & 0xffffff00 | 0x1"),
        (Redirect(9), "counter redirect to :9"),
        (Dnat("192.0.2.1", 9), "counter dnat ip to 192.0.2.1:9"),
    ],
)
def test_verdicts(verdict: object, text: str) -> None:
    assert _line(Rule(verdict=verdict)) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("family", "host", "to"),
    [
        (Family.IPV4, "127.0.0.1", "tproxy ip to 127.0.0.1:9"),
        (Family.IPV4, "0.0.0.0", "tproxy ip to :9"),
        (Family.IPV6, "::1", "tproxy ip6 to [::1]:9"),
        (Family.IPV6, "::", "tproxy ip6 to :9"),
    ],
)
def test_tproxy_sets_the_mark_and_ends_the_table(family: Family, host: str, to: str) -> None:
    line = _line(Rule(match=Match(), verdict=Tproxy(host, 9, MARK)), family)
    assert line == f"meta l4proto tcp {to} meta mark set meta mark & 0xffffff00 | 0x1 counter accept"


@pytest.mark.parametrize(
    ("match", "text"),
    [
        (Match(), "meta l4proto tcp"),
        (Match(tcp=False, interface="e"), 'iifname "e"'),
        (Match(outside=True), 'iifname != "lo" meta l4proto tcp'),
        (Match(source="192.0.2.0/24", destination="0.0.0.0/0"), "meta l4proto tcp ip saddr 192.0.2.0/24"),
        (Match(destination="192.0.2.1/32", ports=(1, 2)), "ip daddr 192.0.2.1/32 tcp dport 1-2"),
        (Match(ports=(7, 7)), "tcp dport 7"),
        (Match(syn=True), "tcp flags & (fin|syn|rst|ack) == syn"),
        (Match(mark=MARK), "meta l4proto tcp meta mark & 0xff == 0x1"),
        (
            Match(connection_mark=MARK, direction=Direction.REPLY),
            "meta l4proto tcp ct mark & 0xff == 0x1 ct direction reply",
        ),
        (Match(invalid=True), "meta l4proto tcp ct state invalid"),
        (Match(unknown=True), "meta l4proto tcp ct state new"),
        (Match(local_destination=True), "meta l4proto tcp fib daddr type local"),
    ],
)
def test_matches(match: Match, text: str) -> None:
    assert _line(Rule(match=match, verdict=Accept())) == f"{text} accept"


def test_a_wildcard_listener_is_no_transparent_socket() -> None:
    """In a chain of its own: in the same rule it would lose the last ACK of a handshake."""
    rules = (Rule(verdict=Return()), Rule(match=Match(transparent_socket=True), verdict=Jump("divert")))
    text = definition((Chain(family=Family.IPV6, table=Table.MANGLE, name="pre", rules=rules),), "gt")
    lines = [line.strip() for line in text.splitlines()]
    assert 'meta l4proto tcp socket transparent 1 jump v6_pre_socket1 comment "gt:shared"' in lines
    at = lines.index("chain v6_pre_socket1 {")
    assert lines[at + 1 : at + 3] == ['socket wildcard 1 return comment "gt:shared"', "jump v6_divert"]


def test_each_hook_has_one_base_chain_that_leads_to_both_versions() -> None:
    chains = [
        Chain(family=family, table=Table.MANGLE, name="pre", rules=(), hook=Hook.PREROUTING) for family in Family
    ]
    text = definition(tuple(chains), "gt")
    assert text.count("type filter hook prerouting priority mangle; policy accept;") == 1
    for version in (4, 6):
        assert f"meta nfproto ipv{version} jump v{version}_pre" in text


def test_names_of_services_cannot_end_the_comment() -> None:
    rule = Rule(verdict=Accept(), service='a"; drop; #' + "x" * 300)
    line = definition((Chain(family=Family.IPV4, table=Table.MANGLE, name="c", rules=(rule,)),), "gt").splitlines()[3]
    assert line.count('"') == 2
    assert len(line) < 130


def test_a_replacement_is_one_transaction_that_removes_first() -> None:
    text = replacement((), "gt")
    assert text == removal("gt") + definition((), "gt")
    assert text.startswith("add table inet gt\ndelete table inet gt\ntable inet gt {")


def test_a_listing_becomes_commands() -> None:
    listing = (
        "table inet gt {\n\tset s {\n\t\ttype ipv4_addr\n\t}\n\n\tchain c {\n"
        "\t\ttype filter hook input priority filter; policy accept;\n\t\taccept\n\t}\n}\n"
    )
    assert flat(listing) == (
        "nft add table inet gt",
        "nft add chain inet gt set s",
        "nft add rule inet gt set s type ipv4_addr",
        "nft add chain inet gt c { type filter hook input priority filter; policy accept; }",
        "nft add rule inet gt c accept",
    )
