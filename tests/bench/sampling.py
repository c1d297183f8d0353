"""A program watched for long: samples of what it holds, and what they say about growth."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.bench.trend import Bound, Series, Trend, settled, trend
from tests.bench.usage import Sample, sample

# (seconds since the start, what was seen then)
Samples = list[tuple[float, Sample]]

WATCHED: dict[str, tuple[Callable[[Sample], float], Bound]] = {
    # 3 MiB or 5 %: an allocator's arenas still move that much after minutes, in either direction.
    "PSS, MiB": (lambda one: one.pss, Bound(most=3.0, part=0.05)),
    "largest RSS of one process, MiB": (
        lambda one: max(one.resident.values(), default=0.0),
        Bound(most=3.0, part=0.05),
    ),
    # The load keeps about so many open, but not exactly.
    "descriptors": (lambda one: float(one.descriptors), Bound(most=30.0, part=0.10)),
    "threads": (lambda one: float(one.threads), Bound(most=2.0)),
}


@contextmanager
def sampling(pid: int, every: float) -> Iterator[Samples]:
    """A thread adds a sample of the process and its descendants every so many seconds, as long as the context lasts."""
    samples: Samples = []
    stop, began = threading.Event(), time.monotonic()

    def work() -> None:
        while not stop.wait(every):
            samples.append((time.monotonic() - began, sample(pid)))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def series_of(samples: Samples, name: str) -> Series:
    """One of the `WATCHED` values over time."""
    value, _ = WATCHED[name]
    return [(when, value(one)) for when, one in samples]


def trends(samples: Samples) -> dict[str, Trend]:
    """How each of the watched values went over the last two thirds of the time."""
    return {name: trend(settled(series_of(samples, name))) for name in WATCHED}


def complaints(found: dict[str, Trend]) -> Sequence[str]:
    """One line for each value that grew more than it may."""
    return [
        f"{name}: grew by {one.growth:.1f} (from about {one.level:.1f}) in {one.seconds:.0f} s;"
        f" {WATCHED[name][1].of(one.level):.1f} would be allowed"
        for name, one in found.items()
        if one.exceeds(WATCHED[name][1])
    ]


def described(found: dict[str, Trend]) -> str:
    """A table: each value's median and growth over the last two thirds."""
    lines = ["| over the last two thirds | median | growth | allowed |", "|---|---|---|---|"]
    for name, one in found.items():
        lines.append(f"| {name} | {one.level:.1f} | {one.growth:+.1f} | {WATCHED[name][1].of(one.level):.1f} |")
    return "\n".join(lines)
