"""Waiting for a file's lock."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from netsetup.kernel.locking import lock_within

Pair = tuple[int, int]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two openings of one file: as two processes would have."""
    one, other = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    yield one, other
    os.close(one)
    os.close(other)


def test_a_free_lock_is_taken_at_once_also_without_any_time(pair: Pair) -> None:
    assert lock_within(pair[0], 0)


def test_a_held_lock_is_given_up_after_its_time(pair: Pair) -> None:
    assert lock_within(pair[0], 0)
    assert not lock_within(pair[1], 0.05)


def test_a_lock_that_becomes_free_is_taken(tmp_path: Path, pair: Pair) -> None:
    held = os.open(tmp_path / "lock", os.O_RDWR)
    assert lock_within(held, 0)
    release = threading.Timer(0.05, os.close, (held,))
    release.start()
    assert lock_within(pair[0], 10)
    release.join()
