"""The processes that a lab started, found again by the kernel's own records: so another process can take it down.

Each program that a lab starts has `NETSETUP_LAB=NAME` in its environment, and so have its children. One that is in
the lab's namespace and has that is the lab's to end; any other in the namespace is somebody else's.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT_MARK = "NETSETUP_LAB"
# What is asked politely has this long, in seconds, before it is killed. A lab going down should be felt as immediate.
GRACE = 2.0
# A killed process is gone in milliseconds, unless it hangs in the kernel.
KILL_WAIT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process in a namespace. `ours`: it was started by the lab of this name."""

    pid: int
    command: str
    ours: bool


def processes_in(namespace: tuple[int, int], lab: str) -> tuple[Process, ...]:
    """All processes in a namespace, given as device and inode. The calling process is not listed."""
    return tuple(sorted(_scan(namespace, lab), key=lambda process: process.pid))


def end(namespaces: Iterable[tuple[int, int]], lab: str) -> None:
    """End the processes that the lab started: SIGTERM, and SIGKILL for what is still there after the grace."""
    places = tuple(namespaces)
    if _signal_all(places, lab, signal.SIGTERM, GRACE):
        return
    # Twice: what a dying process forked between our look and its end is caught by the second look.
    for _ in range(2):
        if _signal_all(places, lab, signal.SIGKILL, KILL_WAIT):
            return


def _signal_all(places: tuple[tuple[int, int], ...], lab: str, number: signal.Signals, patience: float) -> bool:
    """Signal every process of the lab once and wait. Returns whether none is left."""
    with ExitStack() as stack:
        pending: dict[int, None] = {}
        for place in places:
            for process in _scan(place, lab):
                if process.ours:
                    _open_and_signal(process.pid, lab, number, stack, pending)
        deadline = time.monotonic() + patience
        while pending:
            ready, _, _ = select.select(list(pending), [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return False
            for handle in ready:
                del pending[handle]
    return not any(process.ours for place in places for process in _scan(place, lab))


def _open_and_signal(pid: int, lab: str, number: signal.Signals, stack: ExitStack, pending: dict[int, None]) -> None:
    """Signal through a pidfd: a pid alone may be another process's by the time that the signal is sent."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    stack.callback(os.close, handle)
    if not _is_ours(pid, lab):
        return
    try:
        signal.pidfd_send_signal(handle, number)
    except OSError:
        return
    pending[handle] = None


def _scan(namespace: tuple[int, int], lab: str) -> Iterator[Process]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            status = (entry / "ns" / "net").stat()
            if (status.st_dev, status.st_ino) != namespace:
                continue
            command = (entry / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            # It ended while we looked, or it is a zombie and has no namespace any more.
            continue
        yield Process(pid=int(entry.name), command=command, ours=_is_ours(int(entry.name), lab))


def _is_ours(pid: int, lab: str) -> bool:
    wanted = f"{ENVIRONMENT_MARK}={lab}".encode()
    try:
        return wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
