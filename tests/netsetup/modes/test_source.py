import pytest

from netsetup.errors import ImpossibleError
from netsetup.model import Target
from netsetup.modes.source import loopback_targets, needs_connection_mark, source_families
from netsetup.state import Family
from tests.netsetup.modes.requests import LOOPBACK, service

HOME = Target(host="127.0.0.1", port=80)
HOME6 = Target(host="::1", port=80)
AWAY = Target(host="198.51.100.2", port=80)


def test_families_are_those_of_listeners_and_targets() -> None:
    assert source_families(service()) == (Family.IPV4, Family.IPV6)
    assert source_families(service(listeners=LOOPBACK[:1])) == (Family.IPV4,)
    assert source_families(service(targets=(HOME6,))) == (Family.IPV6,)
    assert source_families(service(listeners=LOOPBACK[:1], targets=(HOME6,))) == ()


def test_loopback_targets_are_found_by_their_answers_source() -> None:
    both = service(targets=(HOME, HOME6, AWAY))
    assert loopback_targets(both, Family.IPV4) == (HOME,)
    assert loopback_targets(both, Family.IPV6) == (HOME6,)


def test_the_one_port_that_no_routing_rule_can_name() -> None:
    highest = service(targets=(Target(host="127.0.0.1", port=65535),))
    with pytest.raises(ImpossibleError, match=r"port 65535 of 127\.0\.0\.1 is not possible: .*another port"):
        loopback_targets(highest, Family.IPV4)
    assert loopback_targets(highest, Family.IPV6) == ()


def test_connections_are_remembered_unless_all_servers_are_on_loopback() -> None:
    assert not needs_connection_mark(service(targets=(HOME,)), Family.IPV4)
    assert needs_connection_mark(service(targets=(HOME, AWAY)), Family.IPV4)
    assert needs_connection_mark(service(targets=()), Family.IPV4)
