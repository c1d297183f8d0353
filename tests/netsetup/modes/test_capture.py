from typing import Any

import pytest

from netsetup.model import Marks, Method
from netsetup.modes.capture import Taken, take
from netsetup.modes.choice import Origin, deliveries
from netsetup.state import (
    Direction,
    Dnat,
    Drop,
    Family,
    Jump,
    Mark,
    Match,
    Redirect,
    Return,
    Rule,
    SetConnectionMark,
    Table,
    Tproxy,
)
from tests.netsetup.modes.requests import ANYWHERE, service

DIVERT = Mark(1, 0xFF)
MARKS = Marks(divert=1, own=2, local=3, mask=0xFF)


def _taken(family: Family = Family.IPV4, origin: Origin = Origin.OUTSIDE, **given: Any) -> tuple[Taken, ...]:
    interception = service(capture_local=origin is Origin.LOCAL, **given)
    assert interception.capture is not None
    (delivery,) = [one for one in deliveries(interception, interception.capture, family) if one.origin is origin]
    return take(7, interception, delivery, MARKS)


def _last(taken: Taken) -> Rule:
    return taken.chains[0].rules[-1]


def test_tproxy_takes_new_connections_from_outside() -> None:
    (taken,) = _taken(capture_fail_closed=False)
    (chain,) = taken.chains
    assert (chain.table, taken.name, taken.entry) == (Table.MANGLE, "tp7", "pre")
    assert taken.when == (Match(outside=True, syn=True),)
    verdict = Tproxy("127.0.0.1", 9443, DIVERT, pass_on=True)
    assert chain.rules == (Rule(match=Match(ports=(80, 80)), verdict=verdict, service="web"),)


def test_failing_closed_what_was_captured_is_remembered_and_what_fits_no_connection_is_dropped() -> None:
    (taken,) = _taken()
    assert taken.when == (
        Match(outside=True, syn=True),
        Match(outside=True, unknown=True),
        Match(outside=True, connection_mark=DIVERT, direction=Direction.ORIGINAL),
        Match(outside=True, invalid=True),
    )
    select, give = taken.chains
    assert [rule.verdict for rule in select.rules] == [Jump(give.name)]
    assert [(rule.match, rule.verdict) for rule in give.rules] == [
        (Match(invalid=True), Drop()),
        (None, SetConnectionMark(DIVERT)),
        (Match(), Tproxy("127.0.0.1", 9443, DIVERT)),
        (None, Drop()),
    ]


@pytest.mark.parametrize(("family", "host"), [(Family.IPV4, "0.0.0.0"), (Family.IPV6, "::")])
def test_tproxy_names_the_ingress_address_where_the_listener_is_anywhere(family: Family, host: str) -> None:
    (taken,) = _taken(family, listeners=ANYWHERE[1:])
    assert Tproxy(host, 9443, DIVERT) in [rule.verdict for rule in taken.chains[-1].rules]


def test_local_tproxy_marks_at_output_and_takes_at_loopback() -> None:
    marking, taking = _taken(origin=Origin.LOCAL, capture_method=Method.TPROXY)
    assert (marking.entry, marking.when, _last(marking).verdict) == ("out", (Match(syn=True),), Jump("take"))
    assert taking.entry == "pre"
    assert taking.when == (Match(interface="lo", mark=Mark(3, 0xFF)),)
    assert [rule.verdict for rule in taking.chains[-1].rules] == [Tproxy("127.0.0.1", 9443, Mark(3, 0xFF)), Drop()]


def test_redirect_goes_to_the_nat_table() -> None:
    outside, stray = _taken(capture_method=Method.REDIRECT, listeners=ANYWHERE)
    assert (outside.chains[0].table, outside.entry, _last(outside).verdict) == (Table.NAT, "npre", Redirect(9443))
    assert (stray.chains[0].table, stray.entry, _last(stray).verdict) == (Table.MANGLE, "pre", Drop())
    assert stray.when == (Match(outside=True, invalid=True),)
    (local,) = _taken(origin=Origin.LOCAL)
    assert (local.chains[0].table, local.entry, _last(local).verdict) == (Table.NAT, "nout", Redirect(9443))


def test_redirect_to_one_address_says_which() -> None:
    taken, _ = _taken(capture_method=Method.REDIRECT, capture_interfaces=("eth0",))
    assert _last(taken).verdict == Dnat("127.0.0.1", 9443)


def test_what_is_excluded_comes_first_by_destination_and_only_of_the_family() -> None:
    (taken,) = _taken(capture_exclude=("192.0.2.9/32", "2001:db8::9/128"))
    rules = taken.chains[0].rules
    assert [(rule.match, rule.verdict) for rule in rules[:1]] == [(Match(destination="192.0.2.9/32"), Return())]
    assert len(rules) == 2


def test_every_combination_is_taken() -> None:
    (taken,) = _taken(
        capture_ports=((80, 80), (90, 99)),
        capture_interfaces=("eth0", "eth1"),
        capture_from_networks=("192.0.2.0/24", "2001:db8::/32"),
        capture_to_networks=("198.51.100.0/24", "203.0.113.0/24"),
    )
    rules = taken.chains[0].rules
    assert len({rule.match for rule in rules}) == 2 * 2 * 1 * 2
    assert all(rule.match and rule.match.source == "192.0.2.0/24" for rule in rules)


def test_long_lists_add_up_instead_of_being_multiplied() -> None:
    networks = tuple(f"198.51.100.{host}/32" for host in range(100))
    (taken,) = _taken(
        capture_ports=tuple((port, port) for port in range(1, 201)),
        capture_interfaces=("eth0", "eth1"),
        capture_to_networks=networks,
        capture_exclude=("203.0.113.0/24",),
    )
    names = [chain.name for chain in taken.chains]
    assert names == ["tp7", "tp7a", "tp7b", "gv7"]
    assert [len(chain.rules) for chain in taken.chains[:3]] == [1 + 2, 100, 200]
    for chain, following in zip(taken.chains, names[1:], strict=False):
        assert chain.rules[-1].verdict == Jump(following)


def test_interfaces_and_sources_do_not_narrow_what_the_gateway_itself_sends() -> None:
    (taken,) = _taken(
        origin=Origin.LOCAL,
        capture_interfaces=("eth0",),
        capture_from_networks=("192.0.2.0/24",),
        capture_to_networks=("203.0.113.0/24",),
    )
    matches = [rule.match for rule in taken.chains[0].rules]
    assert matches == [Match(destination="203.0.113.0/24", ports=(80, 80))]
