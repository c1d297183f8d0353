"""What counts as growth of a long run."""

import random

import pytest

from tests.bench.trend import Bound, Trend, settled, trend

NOISE = random.Random(1)
MINUTES = [(5.0 * number, 70.0 + NOISE.uniform(-1, 1)) for number in range(360)]


def test_noise_is_no_growth() -> None:
    found = trend(MINUTES)
    assert abs(found.growth) < 0.5
    assert found.level == pytest.approx(70, abs=0.5)
    assert found.seconds == 359 * 5


def test_a_leak_is_seen_through_noise() -> None:
    found = trend([(when, value + when / 1795 * 5) for when, value in MINUTES])
    assert found.growth == pytest.approx(5, abs=0.5)


def test_peaks_after_each_reload_are_no_growth_even_when_the_last_stands_at_the_end() -> None:
    peaks = [(when, value + (40 if when % 180 >= 145 else 0)) for when, value in MINUTES]
    assert peaks[-1][1] > 100
    assert abs(trend(peaks).growth) < 1


def test_a_leak_below_such_peaks_is_seen() -> None:
    peaks = [(when, value + when / 1795 * 8 + (40 if when % 180 < 35 else 0)) for when, value in MINUTES]
    assert trend(peaks).growth == pytest.approx(8, abs=1)


def test_what_comes_back_is_negative_growth() -> None:
    assert trend([(0.0, 3.0), (1.0, 2.0), (2.0, 1.0)]).growth == -2


def test_two_samples_tell_nothing() -> None:
    with pytest.raises(ValueError, match="2 samples"):
        trend(MINUTES[:2])


def test_the_first_third_of_the_time_does_not_count() -> None:
    assert [when for when, _ in settled([(10.0, 1), (15.0, 1), (20.0, 1), (30.0, 1), (40.0, 1)])] == [20, 30, 40]


@pytest.mark.parametrize(
    ("growth", "level", "over"), [(3, 10, False), (3.1, 10, True), (5, 100, False), (5.1, 100, True)]
)
def test_a_bound_is_a_size_or_a_part_whichever_is_more(growth: float, level: float, over: bool) -> None:
    assert Trend(level=level, growth=growth, seconds=1).exceeds(Bound(most=3, part=0.05)) is over
