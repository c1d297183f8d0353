"""TCP wrappers (hosts_access(5)) through the real library, where it is installed.

A check may look names up and ask ident servers, so it blocks, and `twist` in the files replaces the whole process:
call it in a process of its own (`net.warden`).
"""

import ctypes
import socket
import struct
from typing import Final

from gtunnel.address import SocketAddress

LIBRARY: Final = "libwrap.so.0"
# tcpd.h: what follows in request_init's list.
_RQ_FILE: Final = 1
_RQ_DAEMON: Final = 2
_RQ_CLIENT_SIN: Final = 6
_RQ_SERVER_SIN: Final = 9
# struct request_info has about 1200 bytes; nobody but the library looks into it.
_REQUEST_BYTES: Final = 8192
# Its fields for names are 128 bytes with their end (tcpd.h, STRING_LENGTH).
MAX_NAME: Final = 127


class Libwrap:
    """The loaded library. Not for several threads at once: it keeps state."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        library.request_init.restype = library.request_set.restype = ctypes.c_void_p
        library.sock_host.restype = None
        library.hosts_access.restype = ctypes.c_int
        # `twist` and the like refuse then, at once; otherwise they would sleep for seconds first.
        ctypes.c_int.in_dll(library, "resident").value = 1

    def permits(self, daemon: str, client: SocketAddress, server: SocketAddress | None) -> bool:
        """Whether the files let a client use a daemon. Blocks as long as its name lookups do."""
        request = ctypes.create_string_buffer(_REQUEST_BYTES)
        name = ctypes.create_string_buffer(daemon.encode()[:MAX_NAME])
        end = ctypes.c_int(0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            # sock_host is what lets the library look up names when a rule wants them. It asks a socket for the two
            # addresses, which are set right afterwards: those of a client behind a load balancer no socket has.
            any_socket.connect(("127.0.0.1", 9))
            fields = (ctypes.c_int(_RQ_FILE), any_socket.fileno(), ctypes.c_int(_RQ_DAEMON), name)
            self._library.request_init(request, *fields, end)
            self._library.sock_host(request)
        theirs, ours = _sockaddr(client), None if server is None else _sockaddr(server)
        addresses = (ctypes.c_int(_RQ_CLIENT_SIN), theirs, ctypes.c_int(_RQ_SERVER_SIN), ours)
        # No descriptor: what `twist` starts is not to talk to anybody.
        self._library.request_set(request, ctypes.c_int(_RQ_FILE), ctypes.c_int(-1), *addresses, end)
        return bool(self._library.hosts_access(request))

    def use_files(self, allow: bytes, deny: bytes) -> None:
        """Read other files than those in /etc."""
        # The library keeps the pointers, so the buffers have to live as long.
        self._files = (ctypes.c_char_p(allow), ctypes.c_char_p(deny))
        ctypes.c_char_p.in_dll(self._library, "hosts_allow_table").value = allow
        ctypes.c_char_p.in_dll(self._library, "hosts_deny_table").value = deny


def load() -> Libwrap | None:
    """The library; None where it is not installed."""
    try:
        return Libwrap(ctypes.CDLL(LIBRARY))
    except (OSError, AttributeError, ValueError):
        return None


def _sockaddr(address: SocketAddress) -> "ctypes.Array[ctypes.c_char]":
    """struct sockaddr_in or sockaddr_in6 (ip(7), ipv6(7)); the library tells them apart by their family."""
    packed = socket.inet_pton(address.family, address.host)
    if address.family == socket.AF_INET:
        data = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(address.port), packed)
    else:
        data = struct.pack("=HHI16sI", socket.AF_INET6, socket.htons(address.port), 0, packed, address.scope)
    # Room for whatever kind the library takes it for.
    return ctypes.create_string_buffer(data, 128)
