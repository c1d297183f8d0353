import pytest

from netsetup.doctor.packet import Packet, Truth, all_of, any_of, truth
from netsetup.state import Family

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN


@pytest.mark.parametrize(
    ("values", "every", "some"),
    [
        ((), YES, NO),
        ((YES, YES), YES, YES),
        ((YES, UNKNOWN), UNKNOWN, YES),
        ((NO, UNKNOWN), NO, UNKNOWN),
        ((YES, NO), NO, YES),
        ((UNKNOWN,), UNKNOWN, UNKNOWN),
    ],
)
def test_what_is_not_known_neither_holds_nor_fails(values: tuple[Truth, ...], every: Truth, some: Truth) -> None:
    assert all_of(values) is every
    assert any_of(values) is some


def test_inversion_leaves_the_unknown() -> None:
    assert [~one for one in (YES, NO, UNKNOWN)] == [NO, YES, UNKNOWN]
    assert [truth(one) for one in (True, False, None)] == [YES, NO, UNKNOWN]


def test_a_packet_says_what_is_known_of_it() -> None:
    packet = Packet(family=Family.IPV4, iif="eth1", oif="", source="192.0.2.2", dport=80)
    assert str(packet) == "tcp iif eth1 from 192.0.2.2 dport 80"
