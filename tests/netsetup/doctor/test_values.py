import pytest

from netsetup.doctor.packet import Truth
from netsetup.doctor.values import in_addresses, in_network, in_range, is_interface, number

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN


@pytest.mark.parametrize(
    ("address", "network", "answer"),
    [
        ("192.0.2.7", "192.0.2.0/24", YES),
        ("192.0.2.7", "192.0.2.0/255.255.255.0", YES),
        ("192.0.2.7", "192.0.2.7", YES),
        ("192.0.2.7", "198.51.100.0/24", NO),
        ("2001:db8::1", "2001:db8::/32", YES),
        ("2001:db8::1", "192.0.2.0/24", NO),
        (None, "192.0.2.0/24", UNKNOWN),
        (None, "0.0.0.0/0", YES),
        ("192.0.2.7", "example.org", UNKNOWN),
    ],
)
def test_networks(address: str | None, network: str, answer: Truth) -> None:
    assert in_network(address, network) is answer


def test_ranges() -> None:
    assert in_addresses("192.0.2.7", "192.0.2.5", "192.0.2.9") is YES
    assert in_addresses("192.0.2.10", "192.0.2.5", "192.0.2.9") is NO
    assert in_addresses("2001:db8::1", "192.0.2.5", "192.0.2.9") is NO
    assert in_addresses(None, "192.0.2.5", "192.0.2.9") is UNKNOWN
    assert in_addresses("192.0.2.7", "what", "ever") is UNKNOWN
    assert [in_range(one, 80, 90) for one in (80, 91, None)] == [YES, NO, UNKNOWN]
    assert in_range(80, "http", 90) is UNKNOWN


@pytest.mark.parametrize(
    ("name", "pattern", "answer"),
    [("eth1", "eth1", YES), ("eth1", "eth+", YES), ("eth1", "ppp+", NO), ("eth1", "eth", NO), (None, "+", YES)],
)
def test_interfaces(name: str | None, pattern: str, answer: Truth) -> None:
    assert is_interface(name, pattern, "+") is answer
    assert is_interface(None, "eth1", "+") is UNKNOWN


def test_numbers() -> None:
    assert [number(text) for text in ("80", "0x10", "http")] == [80, 16, None]
    assert number("http", {"http": 80}.get) == 80
