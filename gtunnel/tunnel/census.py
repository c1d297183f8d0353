"""How many connections there are, over all workers: for `maxConnections` and `maxConnectionsPerIP`.

Each worker counts in a table of its own in memory that all of them see, so what a worker that died had counted goes
with its table. The supervisor hands the tables out.
"""

import hashlib
import ipaddress
import mmap
import os
import struct
from collections.abc import Iterator
from typing import Final

from gtunnel.address import SocketAddress
from gtunnel.tunnel.shared import SharedLock
from gtunnel.values import dataclass

# Workers that may live at a time: those that serve, and those that drain after reloads.
TABLES: Final = 256
# Different keys in a worker: its services, and its clients' addresses.
ENTRIES: Final = 1 << 16
# A table that is fuller than this has many entries whose count is 0: it is made anew.
_FULL: Final = ENTRIES * 3 // 4
_ENTRY: Final = struct.Struct("=QQ")  # the key's digest (0: free), and how many
_USED: Final = struct.Struct("=Q")  # how many entries of a table are not free
_HEAD_BYTES: Final = TABLES * (1 + _USED.size)
_TABLE_BYTES: Final = ENTRIES * _ENTRY.size
# mman.h. Nearly all of it is never touched.
_MAP_NORESERVE: Final = 0x4000


class Census:
    """The tables. Made by the supervisor before it forks."""

    def __init__(self) -> None:
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        self._memory = mmap.mmap(-1, _HEAD_BYTES + TABLES * _TABLE_BYTES, flags=flags)
        self._lock = SharedLock()
        # Clients choose their addresses: they must not be able to choose where those are in a table.
        self._secret = os.urandom(16)

    def take(self) -> int | None:
        """Get a table for a worker to come; None if there is none left."""
        number = self._memory.find(b"\0", 0, TABLES)
        if number < 0:
            return None
        self._memory[number] = 1
        return number

    def give_back(self, table: int) -> None:
        """A worker is gone, and its connections are with it."""
        with self._lock.held():
            self._clear(table)
            self._memory[table] = 0

    def enter(self, table: int, key: bytes, limit: int) -> bool:
        """Count one more of a kind; False, and nothing is counted, if there are `limit` already, or no room."""
        digest = self._digest(key)
        with self._lock.held():
            if sum(self._count(number, digest) for number in self._taken()) >= limit:
                return False
            if self._used(table) >= _FULL:
                self._tidy(table)
            return self._used(table) < _FULL and self._add(table, digest, 1)

    def leave(self, table: int, key: bytes) -> None:
        """Count one less of a kind that was entered."""
        with self._lock.held():
            self._add(table, self._digest(key), -1)

    def _taken(self) -> Iterator[int]:
        taken = self._memory[:TABLES]
        number = taken.find(1)
        while number >= 0:
            yield number
            number = taken.find(1, number + 1)

    def _digest(self, key: bytes) -> int:
        return int.from_bytes(hashlib.blake2b(key, digest_size=8, key=self._secret).digest()) or 1

    def _place(self, table: int, digest: int) -> int:
        """Where a key is in a table, or where it would be."""
        slot = digest % ENTRIES
        while True:
            place = _start(table) + slot * _ENTRY.size
            found, _ = _ENTRY.unpack_from(self._memory, place)
            if found in (0, digest):
                return place
            slot = (slot + 1) % ENTRIES

    def _count(self, table: int, digest: int) -> int:
        found, count = _ENTRY.unpack_from(self._memory, self._place(table, digest))
        return int(count) if found == digest else 0

    def _add(self, table: int, digest: int, change: int) -> bool:
        place = self._place(table, digest)
        found, count = _ENTRY.unpack_from(self._memory, place)
        _ENTRY.pack_into(self._memory, place, digest, max(0, count + change))
        if not found:
            _USED.pack_into(self._memory, _used_place(table), self._used(table) + 1)
        return True

    def _used(self, table: int) -> int:
        """How many entries are not free; also of those whose count is 0, which keep their place for others' sake."""
        return int(_USED.unpack_from(self._memory, _used_place(table))[0])

    def _tidy(self, table: int) -> None:
        start = _start(table)
        entries = list(_ENTRY.iter_unpack(self._memory[start : start + _TABLE_BYTES]))
        self._clear(table)
        for digest, count in entries:
            if count:
                self._add(table, digest, count)

    def _clear(self, table: int) -> None:
        start = _start(table)
        self._memory[start : start + _TABLE_BYTES] = bytes(_TABLE_BYTES)
        _USED.pack_into(self._memory, _used_place(table), 0)

    def __del__(self) -> None:
        self._memory.close()


@dataclass(frozen=True, slots=True)
class Register:
    """A worker's part of the census: its table (None: it got none, and nothing is counted)."""

    census: Census
    table: int | None

    def enter(self, key: bytes, limit: int) -> bool:
        """See `Census`."""
        return self.table is None or self.census.enter(self.table, key, limit)

    def leave(self, key: bytes) -> None:
        """See `Census`."""
        if self.table is not None:
            self.census.leave(self.table, key)


def neighbourhood(client: SocketAddress) -> str:
    """What counts as one client: an IPv4 address, or the /64 of an IPv6 address, all of which one host has."""
    if ":" not in client.host:
        return client.host
    return str(ipaddress.IPv6Network((client.host, 64), strict=False))


def _used_place(table: int) -> int:
    return TABLES + table * _USED.size


def _start(table: int) -> int:
    return _HEAD_BYTES + table * _TABLE_BYTES
