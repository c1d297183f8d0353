"""What a program and all that it started have used, read from the operating system: nothing of the load counts."""

import os
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_MIB = 1024


def tree(pid: int) -> list[int]:
    """The process and its living descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of the process, its living descendants, and those that they have reaped."""
    return sum(_ticks(one) for one in tree(pid)) / _TICKS


def memory_mib(pid: int) -> float:
    """Proportional set size of the process and its living descendants, in MiB: shared pages count once."""
    return sum(_pss_kib(one) for one in tree(pid)) / _MIB


def _ticks(pid: int) -> int:
    # proc(5): utime, stime, cutime and cstime are fields 14 to 17; the second one may contain blanks.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15])


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
