"""Numbers that all workers count together: connection ids, and whose turn it is in a round robin.

A counter is eight bytes of shared memory, guarded by a record lock on an empty file without a name. The kernel drops
the lock of a process that dies, so a worker that is killed while counting stops nobody.
"""

import fcntl
import mmap
import os
import struct
from typing import Final

_VALUE: Final = struct.Struct("=Q")


class SharedCounter:
    """Counts from 0. Make it before workers are forked. Owns a descriptor, which goes with the object."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("gtunnel-counter", os.MFD_CLOEXEC)
        # Anonymous memory: of a file's, Python would keep a second descriptor open.
        self._memory = mmap.mmap(-1, _VALUE.size)

    def next(self) -> int:
        """The next number; every process gets another one."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            (value,) = _VALUE.unpack_from(self._memory)
            _VALUE.pack_into(self._memory, 0, value + 1)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)
        return int(value)

    def __del__(self) -> None:
        self._memory.close()
        os.close(self._fd)
