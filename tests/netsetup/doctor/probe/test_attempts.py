from dataclasses import replace

import pytest

from netsetup.doctor.probe.attempts import Attempt, Refusal, Wish, attempts
from netsetup.model import Method
from tests.netsetup.doctor.cases import INTERFACES, capturing, facts, keeping


def first(number: int) -> int:
    """No dice."""
    return number - 1


def test_one_for_each_version_of_ip() -> None:
    four, six = attempts(facts(capturing(local=True, source=True)), Wish(), first)
    assert isinstance(four, Attempt)
    assert isinstance(six, Attempt)
    assert (four.family, four.iif, four.source, four.port) == (4, "eth1", "198.19.255.254", 80)
    assert four.own_server
    assert four.keeps_source
    assert not four.strict
    assert six.source.startswith("2001:2::")


def test_what_the_user_asks_for() -> None:
    wish = Wish(source="192.0.2.77", destination="198.51.100.2", port=80)
    (one,) = attempts(facts(sysctls={"net/ipv4/conf/all/rp_filter": "1"}), wish, first)
    assert isinstance(one, Attempt)
    assert (one.source, one.destination, one.own_server, one.strict) == ("192.0.2.77", "198.51.100.2", False, True)
    assert one.title == "[web] IPv4: 192.0.2.77 to 198.51.100.2:80, as if from eth1"
    assert attempts(facts(), Wish(service="other"), first) == []


def test_it_seems_to_come_from_the_network_that_its_client_is_in() -> None:
    request = capturing(interfaces=())
    (one,) = attempts(facts(request), Wish(source="198.51.100.77"), first)
    assert isinstance(one, Attempt)
    assert one.iif == "eth2"


@pytest.mark.parametrize(
    ("more", "wish", "reason"),
    [
        ({"from_networks": ("192.0.2.0/24",)}, Wish(source="203.0.113.1"), "captureFrom names clients"),
        ({"to_networks": ("198.51.100.0/24",)}, Wish(source="192.0.2.77"), "captureTo names servers"),
        ({}, Wish(source="192.0.2.1"), "is an address of this machine"),
        ({}, Wish(destination="198.51.100.2", port=81), "port 81 of --to is not captured"),
        ({"exclude": ("198.51.100.2/32",)}, Wish(destination="198.51.100.2", port=80), "captureExclude excepts"),
    ],
)
def test_what_would_not_be_captured_is_refused(more: dict[str, object], wish: Wish, reason: str) -> None:
    (one,) = attempts(facts(capturing(**more)), wish, first)  # type: ignore[arg-type]
    assert isinstance(one, Refusal)
    assert reason in one.reason


def test_no_interface_no_probe() -> None:
    (one, _) = attempts(facts(interfaces=(INTERFACES[0], replace(INTERFACES[1], up=False))), Wish(), first)
    assert isinstance(one, Refusal)


def test_who_keeps_addresses_is_connected_to_directly() -> None:
    (one,) = attempts(facts(keeping("198.51.100.2")), Wish(), first)
    assert isinstance(one, Attempt)
    assert (one.destination, one.port, one.own_server) == ("192.0.2.1", 9443, False)
    assert one.targets == (("198.51.100.2", 443),)
    redirected = attempts(facts(capturing(Method.REDIRECT)), Wish(), first)
    assert all(isinstance(one, Attempt) and one.own_server for one in redirected)
