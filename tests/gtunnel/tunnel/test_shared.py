"""Numbers that all workers count together."""

import gc
import os
import signal
import time
from pathlib import Path

from gtunnel.tunnel.shared import SharedCounter


def test_it_counts_from_zero() -> None:
    counter = SharedCounter()
    assert [counter.next() for _ in range(3)] == [0, 1, 2]


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
