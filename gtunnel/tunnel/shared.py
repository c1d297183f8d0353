"""What all workers share: numbers that they count together, and sessions that any of them may resume.

Sessions are in memory that is mapped before they are forked, guarded by a record lock on an empty file without a name.
The kernel drops the lock of a process that dies, so a worker that is killed meanwhile stops nobody.
"""

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

from gtunnel.events import Log

# A signed number of 64 bits.
_COUNT_BYTES: Final = 8


class SharedLock:
    """Held by one process at a time. Make it before workers are forked. Owns a descriptor, which goes with it."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("gtunnel-lock", os.MFD_CLOEXEC)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for it, and hold it. Nothing that is done meanwhile may switch greenlets."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)

    def take(self) -> bool:
        """Hold it for the rest of this process's life, unless another process does: then False."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def __del__(self) -> None:
        os.close(self._fd)


class SharedCounter:
    """Counts from 0. Make it before workers are forked. Owns a descriptor, which goes with the object.

    The count is in memory that forked processes share, under a record lock as sessions are, so one thread of a process
    may count. The offset of a file that memfd_create gives would do without either, but two processes that move it at
    the same time may be given the same one (seen with Linux 6.18); what was opened is safe, and a jail has nothing to
    open.
    """

    def __init__(self) -> None:
        self._fd = os.memfd_create("gtunnel-counter", os.MFD_CLOEXEC)
        self._numbers = memoryview(mmap.mmap(-1, _COUNT_BYTES)).cast("q")

    def next(self) -> int:
        """The next number; every process gets another one."""
        # Not by `SharedLock`: each connection comes here.
        fcntl.lockf(self._fd, fcntl.LOCK_EX)
        number: int = self._numbers[0]
        self._numbers[0] = number + 1
        fcntl.lockf(self._fd, fcntl.LOCK_UN)
        return number

    @property
    def count(self) -> int:
        """How many numbers there have been."""
        number: int = self._numbers[0]
        return number

    def __del__(self) -> None:
        os.close(self._fd)


# mman.h. Python names it from 3.13 on. Most slots of most tables are never used.
_MAP_NORESERVE: Final = 0x4000
# What a slot begins with: the key's digest, when it expires (monotonic seconds), and how many bytes follow.
_HEAD: Final = struct.Struct("=16sdI")
# A session with a client's certificate takes 1 to 3 KiB, one with a TLS 1.3 ticket of such a session up to 5.
SLOT_BYTES: Final = 8192
# A key may be in any of so many slots.
WAYS: Final = 4
# What "no limit" comes to. Memory is used only as far as slots are.
MAX_SLOTS: Final = 65536


class SharedCache:
    """Bytes by keys, each for a time. Make it before workers are forked. A full table forgets what expires first.

    Values are secrets: the memory is left out of core dumps.
    """

    def __init__(self, size: int) -> None:
        """`size`: how many values there is room for; 0 for as many as are sensible."""
        slots = min(size or MAX_SLOTS, MAX_SLOTS)
        self._ways = min(WAYS, slots)
        self._sets = slots // self._ways
        self._lock = SharedLock()
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._memory = mmap.mmap(-1, self._sets * self._ways * SLOT_BYTES, flags=flags)
        self._memory.madvise(mmap.MADV_DONTDUMP)

    def get(self, key: bytes, log: Log | None = None) -> bytes | None:  # noqa: ARG002
        """The value, unless it has expired or was never there. See `resumption.SessionStore`."""
        digest = _digest(key)
        slots = self._slots(digest)
        with self._lock.held():
            for slot in slots:
                found, expires, length = _HEAD.unpack_from(self._memory, slot)
                if found == digest and length and expires > monotonic():
                    start = slot + _HEAD.size
                    return self._memory[start : start + length]
        return None

    def put(self, key: bytes, value: bytes, seconds: float, log: Log | None = None) -> None:  # noqa: ARG002
        """Keep a value for so long. One that is too large for a slot is not kept."""
        if not value or len(value) > SLOT_BYTES - _HEAD.size:
            return
        digest = _digest(key)
        with self._lock.held():
            slot = min(self._slots(digest), key=lambda slot: self._worth(slot, digest))
            # A worker that is killed in between leaves an empty slot, not half a value.
            _HEAD.pack_into(self._memory, slot, digest, 0.0, 0)
            start = slot + _HEAD.size
            self._memory[start : start + len(value)] = value
            _HEAD.pack_into(self._memory, slot, digest, monotonic() + seconds, len(value))

    def _slots(self, digest: bytes) -> range:
        first = int.from_bytes(digest[:8]) % self._sets * self._ways
        return range(first * SLOT_BYTES, (first + self._ways) * SLOT_BYTES, SLOT_BYTES)

    def _worth(self, slot: int, digest: bytes) -> float:
        """How much would be lost by overwriting a slot: nothing if it has the same key or is empty."""
        found, expires, length = _HEAD.unpack_from(self._memory, slot)
        return -1.0 if found == digest else float(expires) if length else 0.0

    def __del__(self) -> None:
        self._memory.close()


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:16]
