"""Listening sockets. The supervisor owns them: it makes them once, workers inherit them. No gevent here."""

import contextlib
import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from gtunnel.address import Endpoint, SocketAddress, UnixPath, from_sockaddr
from gtunnel.conf.settings import SocketOption
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import names, sockopts
from gtunnel.net.errors import ListenError, errno_text
from gtunnel.net.transparency import TransparencyStrategy

BACKLOG = socket.SOMAXCONN


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """What makes a listening socket what it is; equal specs can share one across a reload."""

    endpoint: Endpoint
    options: tuple[SocketOption, ...]
    transparent: bool


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A bound and listening, non-blocking socket. Whoever holds it closes it."""

    spec: ListenerSpec
    sock: socket.socket
    address: SocketAddress | UnixPath

    def close(self) -> None:
        """Stop listening; a Unix socket's file goes too."""
        if isinstance(self.address, UnixPath):
            _remove_socket_file(self.address.path)
        self.sock.close()


def listen(spec: ListenerSpec, strategy: TransparencyStrategy, log: Log) -> ListeningSocket:
    """Bind and listen. Raises `ListenError`, also for a name that cannot be resolved."""
    try:
        address = names.lookup(spec.endpoint, default_host=names.ANY)[0]
    except GtunnelError as error:
        raise ListenError(address=spec.endpoint, reason=error) from error
    if isinstance(address, UnixPath):
        _remove_stale(address.path)
    try:
        # Fails where the kernel has no IPv6, or no more descriptors.
        sock = socket.socket(socket.AF_UNIX if isinstance(address, UnixPath) else address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(address=spec.endpoint, reason=errno_text(error)) from error
    try:
        sock.setblocking(False)
        sockopts.apply(sock, spec.options, "accept", log)
        _prepare(sock, spec, strategy, log)
        sock.bind(address.path if isinstance(address, UnixPath) else address.sockaddr)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(address=spec.endpoint, reason=errno_text(error)) from error
    if isinstance(address, SocketAddress):
        # Port 0 was given a number.
        address = from_sockaddr(sock.getsockname()) or address
    return ListeningSocket(spec, sock, address)


def _prepare(sock: socket.socket, spec: ListenerSpec, strategy: TransparencyStrategy, log: Log) -> None:
    try:
        strategy.prepare_listener(sock)
    except PermissionError as error:
        # No reason to stop: REDIRECT and DNAT do without, and an ordinary user may be given their traffic.
        reason = f"IP_TRANSPARENT: {errno_text(error)}"
        log.write(Level.WARNING, f"{spec.endpoint}: {reason}: what TPROXY hands over will not arrive here")


def _remove_stale(path: str) -> None:
    """Remove the socket file that a crashed process left; one that somebody still answers on stays, and bind fails."""
    if not _is_socket_file(path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                _remove_socket_file(path)


def _remove_socket_file(path: str) -> None:
    if _is_socket_file(path):
        with contextlib.suppress(OSError):
            Path(path).unlink()


def _is_socket_file(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
