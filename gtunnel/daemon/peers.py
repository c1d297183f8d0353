"""Who is at the other end of a Unix socket, as the kernel knows it (unix(7)): user and groups when it connected."""

import ctypes
import os
import socket
import struct
from typing import Final

from gtunnel.values import dataclass

# asm-generic/socket.h. Python does not name the second.
_SO_PEERCRED: Final = 17
_SO_PEERGROUPS: Final = 59
_CREDENTIALS: Final = struct.Struct("=iII")
# NGROUPS_MAX (limits.h).
_MAX_GROUPS: Final = 65536


@dataclass(frozen=True, slots=True)
class Peer:
    """Numbers. `groups` are all of its groups, the supplementary ones too."""

    user: int
    groups: frozenset[int]

    @property
    def owns_us(self) -> bool:
        """Whether it is root, or whom we run as."""
        return self.user in (0, os.geteuid())

    def may_ask(self, group: int) -> bool:
        """Whether it may ask where a group may."""
        return self.owns_us or group in self.groups


def anybody(peer: Peer) -> bool:  # noqa: ARG001
    """Admits whom the mode of a socket's file lets in."""
    return True


def peer(connection: socket.socket) -> Peer | None:
    """The peer of a connected Unix socket; None if it cannot be known."""
    try:
        _, user, group = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, _CREDENTIALS.size)
        )
    except (OSError, struct.error):
        return None
    return Peer(user, frozenset((group, *_groups(connection))))


def _groups(connection: socket.socket) -> tuple[int, ...]:
    """The supplementary groups; none where the kernel does not tell (before Linux 4.13)."""
    # socket.getsockopt takes 1024 bytes at most, which is 256 groups: directories have users with more.
    groups = (ctypes.c_uint32 * _MAX_GROUPS)()
    length = ctypes.c_uint32(ctypes.sizeof(groups))
    where, into = (socket.SOL_SOCKET, _SO_PEERGROUPS), (ctypes.byref(groups), ctypes.byref(length))
    if ctypes.CDLL(None).getsockopt(connection.fileno(), *where, *into) != 0:
        return ()
    return tuple(groups[: length.value // ctypes.sizeof(ctypes.c_uint32)])
