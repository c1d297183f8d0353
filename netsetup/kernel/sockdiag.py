"""TCP sockets of this network namespace, as the kernel lists them (sock_diag(7), linux/inet_diag.h).

Asked for directly: pyroute2 does not decode the attribute that says whether a socket is transparent, and ss(8) prints
it in a form made for people.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netsetup.errors import SocketListError
from netsetup.kernel import namespace
from netsetup.state import Family

ESTABLISHED: Final = 1
SYN_SENT: Final = 2
LISTEN: Final = 10

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_FLAGS: Final = 0x1 | 0x300  # NLM_F_REQUEST, NLM_F_DUMP
_DONE: Final = 3
_ERROR: Final = 2
_SKV6ONLY: Final = 11
_SOCKOPT: Final = 22  # Linux 5.14
_TRANSPARENT: Final = 0x20  # a bit in the first byte of struct inet_diag_sockopt
_HEADER: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBBI48s")  # struct inet_diag_req_v2
_MESSAGE: Final = struct.Struct("=BBBB48sIIIII")  # struct inet_diag_msg
_ID: Final = struct.Struct("!HH16s16s")  # the part of struct inet_diag_sockid that names the connection
_ATTRIBUTE: Final = struct.Struct("=HH")
_BYTES: Final = 1 << 17
_FAMILIES: Final = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSocket:
    """A socket. `family`: the socket's, so IPv4 over a socket of IPv6 has addresses of IPv4 and the family IPV6.
    `retransmits`: of the segment that is waiting for an answer. `transparent`: None where the kernel does not say.
    `inode`: 0 for one that no process has."""

    family: Family
    state: int
    host: str
    port: int
    peer: str
    peer_port: int
    inode: int = 0
    interface: int = 0
    retransmits: int = 0
    v6only: bool = False
    transparent: bool | None = None

    @property
    def local(self) -> str:
        """Address and port, for people."""
        return join(self.host, self.port)

    @property
    def remote(self) -> str:
        """The peer's address and port, for people."""
        return join(self.peer, self.peer_port)


def join(host: str, port: int) -> str:
    """Address and port as one writes them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tcp_sockets(*states: int) -> tuple[TcpSocket, ...]:
    """All TCP sockets in one of these states; none named: in any. Raises SocketListError."""
    mask = sum(1 << state for state in states) if states else 0xFFF
    found: list[TcpSocket] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as netlink:
            for family in namespace.families():
                netlink.send(_request(family, mask))
                found += (_decoded(payload) for payload in _answers(netlink))
    except OSError as error:
        raise SocketListError(reason=error.strerror or str(error)) from error
    return tuple(found)


def _request(family: Family, states: int) -> bytes:
    # Both attributes that are looked at come without being asked for.
    body = _REQUEST.pack(_FAMILIES[family], socket.IPPROTO_TCP, 0, 0, states, bytes(48))
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _FLAGS, 1, 0) + body


def _answers(netlink: socket.socket) -> Iterator[bytes]:
    while True:
        data = netlink.recv(_BYTES)
        while data:
            length, kind, _, _, _ = _HEADER.unpack_from(data)
            payload, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
            if kind == _DONE:
                return
            if kind == _ERROR:
                number = -struct.unpack_from("=i", payload)[0]
                if number == errno.ENOENT:  # no such kind of socket in this kernel
                    return
                raise OSError(number, os.strerror(number))
            yield payload


def _decoded(payload: bytes) -> TcpSocket:
    family, state, _, retransmits, identity, _, _, _, _, inode = _MESSAGE.unpack_from(payload)
    port, peer_port, host, peer = _ID.unpack_from(identity)
    attributes = dict(_attributes(payload[_MESSAGE.size :]))
    options = attributes.get(_SOCKOPT)
    return TcpSocket(
        family=Family.IPV6 if family == socket.AF_INET6 else Family.IPV4,
        state=state,
        host=_address(family, host),
        port=port,
        peer=_address(family, peer),
        peer_port=peer_port,
        inode=inode,
        interface=struct.unpack_from("=I", identity, _ID.size)[0],
        retransmits=retransmits,
        v6only=attributes.get(_SKV6ONLY, b"\0")[:1] == b"\1",
        transparent=None if not options else bool(options[0] & _TRANSPARENT),
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def _address(family: int, raw: bytes) -> str:
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, raw).removeprefix("::ffff:")
    return socket.inet_ntoa(raw[:4])
