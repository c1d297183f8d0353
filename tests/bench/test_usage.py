"""What is read of a program: its own processor time and memory, its children's, and nobody else's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench import usage

BUSY = "import time\ndef busy(s):\n    end = time.process_time() + s\n    while time.process_time() < end: pass\n"


@contextmanager
def program(text: str) -> Iterator[int]:
    """Python with this program, once it has printed a line."""
    argv = [sys.executable, "-c", text + "\nprint(flush=True); input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def test_time_of_threads_that_have_ended_counts() -> None:
    with program(f"import threading\n{BUSY}t = threading.Thread(target=busy, args=(0.2,)); t.start(); t.join()") as pid:
        assert 0.2 <= usage.cpu_seconds(pid) < 2


def test_time_of_children_counts_when_they_live_and_when_they_have_been_reaped() -> None:
    # The child that lives on does so until its parent's end of `held` closes.
    fork = (
        f"import os\n{BUSY}told, tell = os.pipe()\nheld, hold = os.pipe()\n"
        "if not os.fork():\n    os.close(hold)\n    busy(0.2)"
    )
    living = f"{fork}\n    os.write(tell, b'x')\n    os.read(held, 1)\n    os._exit(0)\nos.read(told, 1)"
    with program(living) as pid:
        assert len(usage.tree(pid)) == 2
        assert 0.2 <= usage.cpu_seconds(pid) < 2
    with program(f"{fork}\n    os._exit(0)\nos.wait()") as pid:
        assert usage.tree(pid) == [pid]
        assert 0.19 <= usage.cpu_seconds(pid) < 2


def test_our_own_time_does_not_count() -> None:
    with program("") as pid:
        before, end = usage.cpu_seconds(pid), time.process_time() + 0.2
        while time.process_time() < end:
            pass
        assert usage.cpu_seconds(pid) - before < 0.1


def test_memory_descriptors_and_threads_are_seen() -> None:
    more = "import os, threading, time\nheld = [os.dup(0) for _ in range(50)]\nroom = b'x' * 30_000_000\n"
    with (
        program("") as small,
        program(f"{more}threading.Thread(target=time.sleep, args=(60,), daemon=True).start()") as big,
    ):
        one, other = usage.sample(small), usage.sample(big)
    assert other.descriptors - one.descriptors == 50
    assert (one.threads, other.threads) == (1, 2)
    assert 25 < other.pss - one.pss < 60
    assert list(other.resident) == [big]
    assert 25 < other.resident[big] - one.resident[small] < 60


def test_a_process_that_is_gone_holds_nothing() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    gone = usage.sample(process.pid)
    assert (gone.pss, gone.descriptors, gone.threads) == (0, 0, 0)
    assert usage.cpu_seconds(process.pid) == 0
    assert usage.cpu_seconds(os.getpid()) > 0
