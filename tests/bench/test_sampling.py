"""A long run's samples, and what is said of them."""

import os
import time

from tests.bench.longrun import Outcome
from tests.bench.sampling import Samples, complaints, sampling, trends
from tests.bench.usage import Sample


def samples(growth: float = 0.0, descriptors: int = 100) -> Samples:
    """Of two processes over 100 seconds; `growth` in MiB over the last two thirds."""
    return [
        (
            float(when),
            Sample(
                pss=70 + growth * when * 1.5 / 100,
                resident={1: 30.0, 2: 45.0},
                descriptors=descriptors + when % 3,
                threads=3,
            ),
        )
        for when in range(101)
    ]


def test_a_flat_line_is_no_complaint() -> None:
    found = trends(samples())
    assert complaints(found) == []
    assert found["largest RSS of one process, MiB"].level == 45


def test_growth_is_told_with_what_would_be_allowed() -> None:
    (line,) = complaints(trends(samples(growth=6)))
    assert line == "PSS, MiB: grew by 5.9 (from about 76.0) in 66 s; 3.8 would be allowed"


def test_a_run_is_sampled_as_long_as_it_lasts() -> None:
    with sampling(os.getpid(), 0.02) as taken:
        time.sleep(0.3)
    number = len(taken)
    assert 3 <= number <= 16
    time.sleep(0.1)
    assert len(taken) == number
    assert all(one.pss > 1 for _, one in taken)


def test_the_exit_status_says_whether_all_was_well(capsys) -> None:  # type: ignore[no-untyped-def]
    assert Outcome(samples=samples(), facts=["9 connections"], failures=[], log="").report("soak", "", None) == 0
    assert "9 connections" in capsys.readouterr().out
    assert Outcome(samples=samples(growth=9), facts=[], failures=[], log="").report("soak", "", None) == 1
    assert "wrong: PSS, MiB: grew" in capsys.readouterr().err
    assert Outcome(samples=samples(), facts=[], failures=["short: refused"], log="").report("soak", "", None) == 1
    assert "wrong: short: refused" in capsys.readouterr().err
    bug = "LOG2[1]: INTERNAL ERROR: oops"
    assert Outcome(samples=samples(), facts=[], failures=[], log=bug).report("soak", "", None) == 1
    assert Outcome(samples=samples()[:5], facts=[], failures=[], log="").report("soak", "", None) == 1
