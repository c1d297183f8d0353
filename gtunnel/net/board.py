"""A board on which a worker writes which programs run, for whoever has to end them if the worker is killed.

It is memory that both have since the fork; a worker that dies at any moment leaves it readable.
"""

import contextlib
import mmap
import os
import signal
import struct
from collections.abc import Iterator
from typing import Final

_PID: Final = struct.Struct("=i")
# More programs at a time than that are run all the same; those beyond are not on the board.
SLOTS: Final = 4096


class Board:
    """The process ids of one worker's programs. Make it before the worker is forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SLOTS * _PID.size)
        self._slots: dict[int, int] = {}
        self._free = list(range(SLOTS - 1, -1, -1))

    def note(self, pid: int) -> None:
        """A program runs, which is the leader of its process group."""
        if self._free:
            slot = self._slots[pid] = self._free.pop()
            _PID.pack_into(self._memory, slot * _PID.size, pid)

    def forget(self, pid: int) -> None:
        """It has ended. To be called before its id can be another one's, so before anything else is started."""
        slot = self._slots.pop(pid, None)
        if slot is not None:
            _PID.pack_into(self._memory, slot * _PID.size, 0)
            self._free.append(slot)

    def pids(self) -> Iterator[int]:
        """What is written there, by whichever process."""
        return (pid for (pid,) in _PID.iter_unpack(self._memory[:]) if pid)

    def end_all(self) -> None:
        """Ask all programs to end, with their process groups: the worker is gone, and their connections with it."""
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGTERM)
