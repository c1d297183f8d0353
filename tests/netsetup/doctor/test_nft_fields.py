"""What real nft prints is in test_nft_json; here is what it never should."""

from typing import Any

import pytest

from netsetup.doctor.nft_fields import MARK, field_of, flags_test, in_number, is_flags, is_mark, number_of, unwrapped
from netsetup.doctor.packet import Truth


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (5, 5),
        ("0x10", 16),
        ("word", None),
        (MARK, 0x101),
        ({"&": [MARK, 0xFF]}, 1),
        ({"|": [{"&": [MARK, 0xFFFFFF00]}, 5]}, 0x105),
        ({"^": [MARK, 1]}, 0x100),
        ({"<<": [MARK, 1]}, None),
        ({"|": [{"ct": {"key": "mark"}}, 5]}, None),
        (None, None),
    ],
)
def test_marks_are_computed(expression: Any, value: int | None) -> None:
    assert number_of(expression, 0x101) == value
    assert number_of({"&": [MARK, 1]}, None) is None


@pytest.mark.parametrize(
    "left", [None, 5, {"meta": {"key": "cpu"}}, {"payload": {"base": "nh", "offset": 0, "len": 8}}]
)
def test_fields_that_are_not_known(left: Any) -> None:
    assert field_of(left) is None
    assert not is_flags(left)
    assert not is_mark(left)


def test_elements_with_a_timeout_are_their_value() -> None:
    assert unwrapped({"elem": {"val": 80, "timeout": 60}}) == 80
    assert unwrapped(80) == 80


def test_ranges_and_odd_flags() -> None:
    assert in_number(80, {"range": [70, 90]}) is Truth.YES
    assert in_number(80, "http") is Truth.UNKNOWN
    assert flags_test({"payload": {"protocol": "tcp", "field": "flags"}}, {"odd": 1}) is None
