"""Recognising our own connections when a firewall rule hands them back to us.

An outgoing connection to an original destination may match the very rule that captured the first one; gtunnel would
then relay to itself until descriptors run out. So every such connection is noted, and an accepted one that is in the
notes is refused. The notes are shared by all workers: the kernel gives the looping connection to any of them.
"""

import mmap
import struct
from typing import Final

from gtunnel.address import SocketAddress

_PORTS: Final = 65536
_ENTRY: Final = struct.Struct("=Q")
_HASH_BITS: Final = (1 << 64) - 1


class LoopGuard:
    """A table with an entry for each local port. Make it before workers are forked: it is shared memory (512 KiB,
    of which the kernel allocates what is used).

    Two connections with the same local port and different peers share an entry, and the later one wins; a loop is then
    missed once and met at its next turn. A note is kept until the target has said something: a client of
    `transparent = both` may come from the very port that we have chosen in its name.
    """

    def __init__(self) -> None:
        self._table = mmap.mmap(-1, _PORTS * _ENTRY.size)

    def note(self, local: SocketAddress, remote: SocketAddress) -> None:
        """Remember an outgoing connection of ours."""
        _ENTRY.pack_into(self._table, local.port * _ENTRY.size, _digest(local, remote))

    def forget(self, local: SocketAddress, remote: SocketAddress) -> None:
        """The connection has ended."""
        if self.made(local, remote):
            _ENTRY.pack_into(self._table, local.port * _ENTRY.size, 0)

    def made(self, client: SocketAddress, destination: SocketAddress) -> bool:
        """Whether a connection from `client` to `destination` is one of ours."""
        (entry,) = _ENTRY.unpack_from(self._table, client.port * _ENTRY.size)
        return bool(entry == _digest(client, destination))


def _digest(local: SocketAddress, remote: SocketAddress) -> int:
    # Workers are forked from one interpreter, so they share the seed of str's hash. Never 0: that is an empty entry.
    return (hash((local.host, local.port, remote.host, remote.port)) & _HASH_BITS) or 1
