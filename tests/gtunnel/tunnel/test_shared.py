"""Numbers that all workers count together, and what all of them remember."""

import gc
import os
import signal
import time
from pathlib import Path

import pytest

from gtunnel.tunnel import shared
from gtunnel.tunnel.shared import SharedCache, SharedCounter


def test_it_counts_from_zero() -> None:
    counter = SharedCounter()
    assert [counter.next() for _ in range(3)] == [0, 1, 2]
    assert counter.count == counter.count == 3


def test_no_number_is_given_twice_among_processes(tmp_path: Path) -> None:
    counter = SharedCounter()
    children = []
    for child in range(3):
        pid = os.fork()
        if pid == 0:
            numbers = [counter.next() for _ in range(2000)]
            (tmp_path / str(child)).write_text(" ".join(map(str, numbers)))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    found = [int(number) for child in range(3) for number in (tmp_path / str(child)).read_text().split()]
    assert sorted(found) == list(range(6000))


def test_a_process_that_is_killed_while_counting_stops_nobody() -> None:
    counter = SharedCounter()
    pid = os.fork()
    if pid == 0:
        while True:
            counter.next()
    while counter.next() < 1000:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    before = counter.next()
    assert counter.next() == before + 1


def test_its_descriptor_goes_with_it() -> None:
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    counter = SharedCounter()
    assert len(list(Path("/proc/self/fd").iterdir())) > before
    del counter
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_kept_is_found_until_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(shared, "monotonic", lambda: now)
    cache = SharedCache(100)
    cache.put(b"key", b"value", 10)
    assert cache.get(b"key") == b"value"
    assert cache.get(b"other") is None
    cache.put(b"key", b"second", 10)
    assert cache.get(b"key") == b"second"
    now = 110.0
    assert cache.get(b"key") is None


def test_what_is_too_large_is_not_kept() -> None:
    cache = SharedCache(4)
    cache.put(b"key", bytes(shared.SLOT_BYTES), 10)
    assert cache.get(b"key") is None


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_a_full_table_forgets_what_would_expire_first(size: int) -> None:
    cache = SharedCache(size)
    for number in range(1000):
        cache.put(str(number).encode(), b"value", 100 + number)
    kept = [number for number in range(1000) if cache.get(str(number).encode()) is not None]
    assert 0 < len(kept) <= size
    assert kept[-1] == 999


def test_all_processes_share_what_is_kept() -> None:
    cache = SharedCache(100)
    pid = os.fork()
    if pid == 0:
        cache.put(b"key", b"from the child", 100)
        os._exit(0)
    os.waitpid(pid, 0)
    assert cache.get(b"key") == b"from the child"


def test_no_limit_costs_no_memory_until_it_is_used() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    before = resident()
    cache = SharedCache(0)
    cache.put(b"key", b"value", 100)
    assert cache.get(b"key") == b"value"
    assert resident() - before < 1000
