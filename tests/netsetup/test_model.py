import pytest

from netsetup.model import Marks, Request


@pytest.mark.parametrize(
    ("first", "mask", "marks"),
    [(1, 0xFF, (1, 2, 3)), (0x100, 0xF00, (0x100, 0x200, 0x300)), (0x40, 0xC0, (0x40, 0x80, 0xC0))],
)
def test_marks_follow_from_the_first(first: int, mask: int, marks: tuple[int, int, int]) -> None:
    made = Marks.from_first(first, mask)
    assert (made.divert, made.own, made.local) == marks


def test_the_default_is_the_first_three_marks() -> None:
    assert Request(interceptions=()).marks == Marks.from_first(1, 0xFF)
