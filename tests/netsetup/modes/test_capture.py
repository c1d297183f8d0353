from typing import Any

import pytest

from netsetup.model import Marks, Method
from netsetup.modes.capture import Taken, take
from netsetup.modes.choice import Origin, deliveries
from netsetup.state import Dnat, Family, Jump, Mark, Match, Redirect, Return, Rule, Table, Tproxy
from tests.netsetup.modes.requests import ANYWHERE, service

MARKS = Marks(divert=1, own=2, local=3, mask=0xFF)


def _taken(family: Family = Family.IPV4, origin: Origin = Origin.OUTSIDE, **given: Any) -> tuple[Taken, ...]:
    interception = service(capture_local=origin is Origin.LOCAL, **given)
    assert interception.capture is not None
    (delivery,) = [one for one in deliveries(interception, interception.capture, family) if one.origin is origin]
    return take(7, interception, delivery, MARKS)


def test_tproxy_looks_at_syn_packets_from_outside_only() -> None:
    (taken,) = _taken()
    assert (taken.chain.table, taken.chain.name, taken.entry) == (Table.MANGLE, "tp7", "pre")
    assert taken.when == Match(outside=True, syn=True)
    verdict = Tproxy("127.0.0.1", 9443, Mark(1, 0xFF))
    assert taken.chain.rules == (Rule(match=Match(ports=(80, 80)), verdict=verdict, service="web"),)


@pytest.mark.parametrize(("family", "host"), [(Family.IPV4, "0.0.0.0"), (Family.IPV6, "::")])
def test_tproxy_names_the_ingress_address_where_the_listener_is_anywhere(family: Family, host: str) -> None:
    (taken,) = _taken(family, listeners=ANYWHERE[1:])
    assert taken.chain.rules[0].verdict == Tproxy(host, 9443, Mark(1, 0xFF))


def test_local_tproxy_marks_at_output_and_takes_at_loopback() -> None:
    marking, taking = _taken(origin=Origin.LOCAL, capture_method=Method.TPROXY)
    assert (marking.entry, marking.when, marking.chain.rules[-1].verdict) == ("out", Match(syn=True), Jump("take"))
    assert taking.entry == "pre"
    assert taking.when == Match(interface="lo", syn=True, mark=Mark(3, 0xFF))
    assert taking.chain.rules[-1].verdict == Tproxy("127.0.0.1", 9443, Mark(3, 0xFF))


def test_redirect_goes_to_the_nat_table() -> None:
    (outside,) = _taken(capture_method=Method.REDIRECT, listeners=ANYWHERE)
    assert (outside.chain.table, outside.entry, outside.chain.rules[-1].verdict) == (Table.NAT, "npre", Redirect(9443))
    (local,) = _taken(origin=Origin.LOCAL)
    assert (local.chain.table, local.entry, local.chain.rules[-1].verdict) == (Table.NAT, "nout", Redirect(9443))


def test_redirect_to_one_address_says_which() -> None:
    (taken,) = _taken(capture_method=Method.REDIRECT, capture_interfaces=("eth0",))
    assert taken.chain.rules[-1].verdict == Dnat("127.0.0.1", 9443)


def test_what_is_excluded_comes_first_in_both_directions_and_only_of_the_family() -> None:
    (taken,) = _taken(capture_exclude=("192.0.2.9/32", "2001:db8::9/128"))
    assert [(rule.match, rule.verdict) for rule in taken.chain.rules[:2]] == [
        (Match(destination="192.0.2.9/32"), Return()),
        (Match(source="192.0.2.9/32"), Return()),
    ]
    assert len(taken.chain.rules) == 3


def test_every_combination_is_taken() -> None:
    (taken,) = _taken(
        capture_ports=((80, 80), (90, 99)),
        capture_interfaces=("eth0", "eth1"),
        capture_from_networks=("192.0.2.0/24", "2001:db8::/32"),
        capture_to_networks=("198.51.100.0/24", "203.0.113.0/24"),
    )
    assert len({rule.match for rule in taken.chain.rules}) == 2 * 2 * 1 * 2
    assert all(rule.match and rule.match.source == "192.0.2.0/24" for rule in taken.chain.rules)


def test_interfaces_and_sources_do_not_narrow_what_the_gateway_itself_sends() -> None:
    (taken,) = _taken(
        origin=Origin.LOCAL,
        capture_interfaces=("eth0",),
        capture_from_networks=("192.0.2.0/24",),
        capture_to_networks=("203.0.113.0/24",),
    )
    assert [rule.match for rule in taken.chain.rules] == [Match(destination="203.0.113.0/24", ports=(80, 80))]
