"""Setting `socket =` options, and the few that gtunnel sets itself. No gevent here."""

import errno
import socket

from gtunnel.conf.settings import SocketOption
from gtunnel.events import Level, Log
from gtunnel.net.errors import SocketError, errno_text

# linux/in.h, linux/in6.h; Python's socket module has no names for them.
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75
IP_BIND_ADDRESS_NO_PORT = 24
SO_ORIGINAL_DST = 80
SO_MARK = 36


def apply(sock: socket.socket, options: tuple[SocketOption, ...], kind: str, log: Log) -> None:
    """Set options on a connection's socket; `kind` is "local" or "remote" (for the log).

    As in stunnel, an option that the kernel refuses is logged and does not stop the connection. Options of TCP and IP
    are passed over on Unix sockets.
    """
    for option in options:
        try:
            sock.setsockopt(option.level, option.number, option.value)
        except OSError as error:
            # Whom it concerns is asked only here: Unix sockets take no other options than those of sockets.
            if _concerns(sock, option):
                log.write(Level.ERR, f"Failed to set {option.name} on {kind} socket: {errno_text(error)}")
        else:
            if log.threshold >= Level.DEBUG:
                log.write(Level.DEBUG, f"Option {option.name} set on {kind} socket")


def demand(sock: socket.socket, options: tuple[SocketOption, ...], kind: str, log: Log) -> None:
    """Set options on a listening socket. Raises `SocketError` for one that the kernel refuses.

    As in stunnel, one that this kind of socket does not know (IPV6_V6ONLY on IPv4) is only logged.
    """
    for option in options:
        try:
            sock.setsockopt(option.level, option.number, option.value)
        except OSError as error:
            if not _concerns(sock, option):
                continue
            if error.errno != errno.ENOPROTOOPT:
                raise SocketError.of(option.name, error) from error
            log.write(Level.ERR, f"Failed to set {option.name} on {kind} socket: {errno_text(error)}")
        else:
            log.write(Level.DEBUG, f"Option {option.name} set on {kind} socket")


def _concerns(sock: socket.socket, option: SocketOption) -> bool:
    return sock.family != socket.AF_UNIX or option.level == socket.SOL_SOCKET


def set_transparent(sock: socket.socket) -> None:
    """Allow a socket to use addresses that are not this machine's. Raises `OSError` (EPERM without CAP_NET_ADMIN)."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    # A dual-stack IPv6 socket carries IPv4 too, and the kernel looks at the same flag for both.
    else:
        sock.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)


def set_mark(sock: socket.socket, mark: int) -> None:
    """Put a firewall mark on everything that the socket sends (socket(7), SO_MARK). Raises `OSError`."""
    sock.setsockopt(socket.SOL_SOCKET, SO_MARK, mark)
