"""The kernel's TLS: whether there is one, and giving it a socket (Documentation/networking/tls.rst).

Of a socket that the kernel has the keys for, plain bytes are read, and plain bytes are sent, one record's content or
several. Records other than data are read and sent with a control message that says of which type they are.
"""

import errno
import socket
import struct
from typing import Final

from gtunnel.net.errors import SocketError, errno_text

# include/uapi/linux/tcp.h, linux/socket.h, linux/tls.h.
_TCP_ULP: Final = 31
_SOL_TLS: Final = 282
_TLS_TX: Final = 1
_TLS_RX: Final = 2
_SET_RECORD_TYPE: Final = 1
_GET_RECORD_TYPE: Final = 2
# What is not sent when a socket is closed, the kernel drops, where TCP had no room for it: at the most a record or two.
# A buffer that says it has room takes those.
MIN_SEND_BUFFER: Final = 1 << 16

CONTROL_ROOM: Final = socket.CMSG_SPACE(1)


def refusal() -> str:
    """Why the kernel does no TLS here; empty if it does. Loads its module `tls`, where we may."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
    except OSError as error:
        # It is there, and wants a connection.
        if error.errno == errno.ENOTCONN:
            return ""
        if error.errno == errno.ENOENT:
            return "this kernel has no TLS, or its module tls is not loaded and cannot be"
        return f"setsockopt TCP_ULP: {errno_text(error)}"
    return ""


def give(sock: socket.socket, send: bytes, receive: bytes) -> str:
    """Give the kernel a connection's keys, each as its `crypto_info`. Both streams must be at a record's boundary.

    Returns why it does not take them, and then nothing has changed; empty if it does. Raises `SocketError` where it
    takes half of them only: nobody can go on with such a connection.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return "no TCP"
    try:
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) < MIN_SEND_BUFFER:
            return "its send buffer is too small"
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"tls")
        sock.setsockopt(_SOL_TLS, _TLS_TX, send)
    except OSError as error:
        return errno_text(error)
    try:
        sock.setsockopt(_SOL_TLS, _TLS_RX, receive)
    except OSError as error:
        raise SocketError.of("setsockopt TLS_RX", error) from error
    return ""


def receive_record(sock: socket.socket, buffer: memoryview) -> tuple[int, int | None]:
    """How much of the next record was received, and its content type; None at the end of the stream.

    Records of data may come several at a time. Raises `OSError`.
    """
    count, ancillary, _, _ = sock.recvmsg_into([buffer], CONTROL_ROOM)
    for level, kind, data in ancillary:
        if level == _SOL_TLS and kind == _GET_RECORD_TYPE:
            return count, data[0]
    return count, None


def send_record(sock: socket.socket, content_type: int, content: bytes) -> None:
    """Send a record that is no data. Raises `OSError`; `BlockingIOError` if there is no room for it."""
    sock.sendmsg([content], [(_SOL_TLS, _SET_RECORD_TYPE, struct.pack("B", content_type))])
