"""What a program and all that it started use, read from the operating system: nothing of the load counts."""

import ctypes
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_KIB_PER_MIB = 1024
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What a program and its descendants hold at a moment. Memory in MiB; `resident`: each one's RSS by process id."""

    pss: float
    resident: dict[int, float]
    descriptors: int
    threads: int


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of the process, its living descendants, and those that they have reaped.

    The living ones are asked for by their clocks, which count nanoseconds and threads that have ended; what was reaped
    is known in ticks of 10 ms only.
    """
    return sum(_clock(one) + _reaped(one) for one in tree(pid))


def memory_mib(pid: int) -> float:
    """Proportional set size of the process and its living descendants, in MiB: shared pages count once."""
    return sum(_smaps_kib(one, "Pss:") for one in tree(pid)) / _KIB_PER_MIB


def sample(pid: int) -> Sample:
    """All that is watched in a long run. Processes that end meanwhile count as nothing."""
    pids = tree(pid)
    return Sample(
        pss=sum(_smaps_kib(one, "Pss:") for one in pids) / _KIB_PER_MIB,
        resident={one: _smaps_kib(one, "Rss:") / _KIB_PER_MIB for one in pids},
        descriptors=sum(_entries(one, "fd") for one in pids),
        threads=sum(_entries(one, "task") for one in pids),
    )


def _clock(pid: int) -> float:
    clock = ctypes.c_int()
    if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)):
        return 0.0  # it has ended: its parent's account has it, or soon will
    with suppress(OSError):
        return time.clock_gettime(clock.value)
    return 0.0


def _reaped(pid: int) -> float:
    # proc(5): cutime and cstime are fields 16 and 17; the second one may contain blanks.
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[13:15]) / _TICKS
    return 0.0


def _smaps_kib(pid: int, what: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1])
    return 0


def _entries(pid: int, directory: str) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        return sum(1 for _ in Path(f"/proc/{pid}/{directory}").iterdir())
    return 0
