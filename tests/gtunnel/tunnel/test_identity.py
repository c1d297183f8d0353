"""Connection identifiers."""

import itertools
import os
import re
import threading

from gtunnel.conf.settings import LogId
from gtunnel.tunnel.identity import make


def test_sequential_counts() -> None:
    count = itertools.count(7)
    assert [make(LogId.SEQUENTIAL, lambda: next(count)) for _ in range(3)] == ["7", "8", "9"]


def test_unique_is_never_the_same_and_needs_no_escaping() -> None:
    found = {make(LogId.UNIQUE, lambda: 0) for _ in range(1000)}
    assert len(found) == 1000
    assert all(re.fullmatch(r"[0-9a-z]{22}", identifier) for identifier in found)


def test_thread_and_process_are_the_systems_own() -> None:
    assert make(LogId.THREAD, lambda: 0) == str(threading.get_native_id())
    assert make(LogId.PROCESS, lambda: 0) == str(os.getpid())
