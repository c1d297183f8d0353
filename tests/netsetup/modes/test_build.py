from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from netsetup.errors import NetsetupError
from netsetup.model import Capture, Interception, Listener, Method, Request, Target
from netsetup.modes.build import desired
from netsetup.state import (
    MAIN_TABLE,
    Chain,
    Desired,
    Direction,
    Drop,
    Family,
    Hook,
    IpRule,
    Jump,
    Mark,
    Match,
    Return,
    Route,
    Rule,
    SetConnectionMark,
    Sysctl,
    Table,
)
from tests.netsetup.modes.requests import LOOPBACK, request, service

DIVERT, OWN, TAKEN = Mark(1, 0xFF), Mark(2, 0xFF), Mark(3, 0xFF)


def _chains(wanted: Desired, family: Family = Family.IPV4) -> dict[str, Chain]:
    return {chain.name: chain for chain in wanted.chains if chain.family is family}


def test_nothing_wanted_is_nothing() -> None:
    assert desired(Request(interceptions=())) == Desired()
    assert desired(request(service(capture=None))) == Desired()


def test_tproxy_needs_a_mark_a_rule_and_a_route_in_each_family() -> None:
    wanted = desired(request())
    assert set(_chains(wanted)) == set(_chains(wanted, Family.IPV6)) == {"pre", "divert", "tp0", "gv0"}
    assert wanted.rules[:2] == (
        IpRule(family=Family.IPV4, priority=5000, table=MAIN_TABLE, mark=DIVERT, interface="lo"),
        IpRule(family=Family.IPV4, priority=5001, table=100, mark=DIVERT),
    )
    assert wanted.routes == (Route(family=Family.IPV4, table=100), Route(family=Family.IPV6, table=100))


def test_sockets_of_ours_are_asked_before_services() -> None:
    pre = _chains(desired(request()))["pre"]
    assert pre.hook is Hook.PREROUTING
    assert pre.rules[0] == Rule(match=Match(outside=True, transparent_socket=True), verdict=Jump("divert"))
    assert pre.rules[1].verdict == Jump("tp0")


def test_what_was_captured_goes_nowhere_else_even_if_no_service_wants_it() -> None:
    captured = Match(outside=True, connection_mark=DIVERT, direction=Direction.ORIGINAL)
    last = Rule(match=captured, verdict=Jump("divert"))
    assert _chains(desired(request()))["pre"].rules[-1] == last
    assert last not in _chains(desired(request(service(capture_fail_closed=False))))["pre"].rules


def test_redirect_alone_needs_no_routing() -> None:
    listeners = (Listener(host="0.0.0.0", port=1),)
    wanted = desired(request(service(listeners=listeners, capture_method=Method.REDIRECT, capture_local=True)))
    assert wanted.rules == ()
    assert wanted.routes == ()
    by_table = {table: {chain.name for chain in wanted.chains if chain.table is table} for table in Table}
    assert by_table == {Table.NAT: {"npre", "nout", "rd0", "rl0"}, Table.MANGLE: {"pre", "st0"}}


def test_the_proxys_own_connections_are_not_captured() -> None:
    for method, name in ((Method.TPROXY, "out"), (Method.AUTO, "nout")):
        chain = _chains(desired(request(service(capture_local=True, capture_method=method))))[name]
        own = Rule(match=Match(mark=OWN), verdict=Return())
        assert own in chain.rules
        calls = [index for index, rule in enumerate(chain.rules) if rule.service == "web"]
        assert chain.rules.index(own) < min(calls)


def test_local_tproxy_keeps_to_connections_that_it_took() -> None:
    chain = _chains(desired(request(service(capture_local=True, capture_method=Method.TPROXY))))["out"]
    assert Rule(match=Match(connection_mark=TAKEN, direction=Direction.ORIGINAL), verdict=Jump("loop")) in chain.rules


def test_answers_of_servers_on_the_gateway_are_turned_around() -> None:
    wanted = desired(request(service(source=True, capture=None)))
    out = _chains(wanted)["out"]
    assert out.rules == (
        Rule(match=Match(connection_mark=OWN, direction=Direction.REPLY), verdict=Jump("loop")),
        Rule(match=Match(mark=OWN, local_destination=True), verdict=SetConnectionMark(OWN)),
    )
    assert IpRule(family=Family.IPV4, priority=5002, table=100, mark=TAKEN) in wanted.rules


def test_a_server_on_loopback_needs_one_rule_by_its_address() -> None:
    targets = (Target(host="127.0.0.1", port=80), Target(host="::1", port=80))
    wanted = desired(request(service(source=True, capture=None, targets=targets)))
    assert "out" not in _chains(wanted)
    by_source = [rule for rule in wanted.rules if rule.source]
    assert [(rule.family, rule.source, rule.source_port, rule.interface) for rule in by_source] == [
        (Family.IPV4, "127.0.0.1", 80, "lo"),
        (Family.IPV6, "::1", 80, "lo"),
    ]


def test_two_services_with_one_loopback_server_share_the_rule() -> None:
    one = service(source=True, capture=None, targets=(Target(host="127.0.0.1", port=80),))
    wanted = desired(request(one, replace(one, name="two")))
    assert len([rule for rule in wanted.rules if rule.source]) == 1


def test_route_localnet_comes_with_a_guard() -> None:
    given = service(listeners=LOOPBACK[:1], capture_method=Method.REDIRECT, capture_interfaces=("eth1", "eth0"))
    wanted = desired(request(given))
    assert wanted.sysctls == (
        Sysctl(path="net/ipv4/conf/eth0/route_localnet", value="1"),
        Sysctl(path="net/ipv4/conf/eth1/route_localnet", value="1"),
    )
    guard = Rule(match=Match(tcp=False, interface="eth1", destination="127.0.0.0/8"), verdict=Drop(), service="web")
    assert guard in _chains(wanted)["pre"].rules


def test_a_kernel_without_ipv6_gets_no_rules_of_ipv6() -> None:
    wanted = desired(request(service(source=True)), (Family.IPV4,))
    assert {chain.family for chain in wanted.chains} == {rule.family for rule in wanted.rules} == {Family.IPV4}
    assert "[web] IPv6 is not captured: this kernel does without it" in wanted.notes


def test_notes_say_what_was_chosen() -> None:
    notes = desired(request(service(listeners=LOOPBACK[:1], source=True, capture_local=True))).notes
    assert tuple(note.partition(" (")[0] for note in notes) == (
        "[web] IPv6 is not captured: the service does not listen there",
        "[web] IPv4, traffic from outside: TPROXY to 127.0.0.1:9443",
        "[web] IPv4, the gateway's own traffic: REDIRECT to 127.0.0.1:9443",
        "[web] IPv4: servers' answers to clients are led back to the proxy",
    )


_HOSTS = st.sampled_from(["0.0.0.0", "::", "127.0.0.1", "::1", "192.0.2.1", "2001:db8::1", "x"])
_PORTS = st.integers(min_value=-1, max_value=65537)
_NETWORKS = st.lists(
    st.sampled_from(["192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0", "::/0", "bad", "192.0.2.1"]), max_size=3
).map(tuple)
_CAPTURES = st.builds(
    Capture,
    ports=st.lists(st.tuples(_PORTS, _PORTS), max_size=2).map(tuple),
    interfaces=st.lists(st.sampled_from(["eth0", "lo", "wg0"]), max_size=2).map(tuple),
    from_networks=_NETWORKS,
    to_networks=_NETWORKS,
    exclude=_NETWORKS,
    local=st.booleans(),
    method=st.sampled_from(Method),
)
SERVICES = st.builds(
    Interception,
    name=st.sampled_from(["a", "b", "c d"]),
    listeners=st.lists(st.builds(Listener, host=_HOSTS, port=_PORTS), max_size=3).map(tuple),
    source=st.booleans(),
    capture=st.none() | _CAPTURES,
    targets=st.lists(st.builds(Target, host=_HOSTS, port=_PORTS), max_size=2).map(tuple),
)


@given(st.lists(SERVICES, max_size=3))
@settings(deadline=None)
def test_any_request_gives_a_consistent_state_or_one_kind_of_error(services: list[Interception]) -> None:
    try:
        wanted = desired(Request(interceptions=tuple(services)))
    except NetsetupError as error:
        told = str(error)
        event(told.partition(" ")[0])
        return
    keys = {(chain.family, chain.table, chain.name) for chain in wanted.chains}
    assert len(keys) == len(wanted.chains)
    called = set()
    for chain in wanted.chains:
        assert chain.rules
        for rule in chain.rules:
            if isinstance(rule.verdict, Jump):
                called.add((chain.family, chain.table, rule.verdict.chain))
    assert called == {(chain.family, chain.table, chain.name) for chain in wanted.chains if chain.hook is None}
    assert len(set(wanted.rules)) == len(wanted.rules)
    assert {rule.family for rule in wanted.rules} == {route.family for route in wanted.routes}


@pytest.mark.parametrize("number", [1, 100])
def test_chain_names_stay_within_iptables_limit(number: int) -> None:
    services = tuple(service(name=f"s{index}", capture_local=True) for index in range(number))
    longest = max(len(chain.name) for chain in desired(request(*services, instance="x" * 15)).chains)
    assert longest + len("x" * 15 + ".") <= 28
