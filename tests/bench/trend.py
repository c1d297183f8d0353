"""Whether something grows: of the samples of a long run, by a line that a few wild ones do not bend."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# (seconds since the start, value)
Series = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much growth is none: in the value's own unit, or as a part of what was there, whichever is more."""

    most: float
    part: float = 0.0

    def of(self, level: float) -> float:
        """The growth that is allowed for something of this size."""
        return max(self.most, self.part * level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How a value went over the seconds looked at: its median, and by how much the line through it rose."""

    level: float
    growth: float
    seconds: float

    def exceeds(self, bound: Bound) -> bool:
        """Whether it grew more than is allowed."""
        return self.growth > bound.of(self.level)


def settled(series: Series) -> Series:
    """The last two thirds of the time: before, caches fill and pools grow to their size."""
    first, last = series[0][0], series[-1][0]
    return [point for point in series if point[0] >= first + (last - first) / 3]


def trend(series: Series) -> Trend:
    """Of all these points. The slope is Theil and Sen's: the median of those between any two points.

    So peaks in fewer than a quarter of the samples - two generations of workers after a reload - do not matter.
    ValueError: fewer than three points.
    """
    if len(series) < 3:
        raise ValueError(f"{len(series)} samples show no trend")
    pairs = itertools.combinations(series, 2)
    slope = statistics.median((b - a) / (later - sooner) for (sooner, a), (later, b) in pairs if later > sooner)
    seconds = series[-1][0] - series[0][0]
    return Trend(level=statistics.median(value for _, value in series), growth=slope * seconds, seconds=seconds)
