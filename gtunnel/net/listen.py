"""Listening sockets. The supervisor owns them: it makes them once, workers inherit them. No gevent here."""

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from gtunnel.address import Endpoint, HostPort, SocketAddress, UnixPath, from_sockaddr
from gtunnel.conf.settings import SocketOption
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import names, sockopts
from gtunnel.net.errors import ListenError, SocketError, errno_text
from gtunnel.net.transparency import TransparencyStrategy
from gtunnel.values import dataclass

BACKLOG = socket.SOMAXCONN
# chown(2): leave both as they are.
NOBODY = (-1, -1)


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """An address to listen on, and the options of its socket. A reload keeps the socket of an address.

    `owner`: user and group of a Unix socket's file, as chown(2) takes them (-1: as it is).
    """

    endpoint: Endpoint
    options: tuple[SocketOption, ...]
    owner: tuple[int, int] = NOBODY


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A bound and listening, non-blocking socket. Whoever holds it closes it. `borrowed`: the service manager has made
    it, and goes on listening when we are gone."""

    spec: ListenerSpec
    sock: socket.socket
    address: SocketAddress | UnixPath
    borrowed: bool = False

    def close(self) -> None:
        """Stop listening; a Unix socket's file goes too."""
        if isinstance(self.address, UnixPath) and not self.borrowed:
            _remove_socket_file(self.address.path)
        self.sock.close()

    def give_to(self, user: int, group: int) -> None:
        """Make a Unix socket's file belong to somebody. Raises `ListenError`."""
        if isinstance(self.address, UnixPath) and not self.borrowed and (user, group) != NOBODY:
            try:
                _give(self.address.path, user, group)
            except OSError as error:
                raise ListenError(address=self.address, reason=f"chown: {errno_text(error)}") from error


def expand(spec: ListenerSpec) -> tuple[ListenerSpec, ...]:
    """One spec for each address of the endpoint: a name may have several (`localhost`: IPv4 and IPv6).

    Raises `ListenError` for a name that cannot be resolved.
    """
    try:
        addresses = names.lookup(spec.endpoint, default_host=names.ANY)
    except GtunnelError as error:
        raise ListenError(address=spec.endpoint, reason=error) from error
    return tuple(replace(spec, endpoint=_literal(address)) for address in addresses)


def _literal(address: names.Address) -> Endpoint:
    if isinstance(address, UnixPath):
        return address
    zone = f"%{address.scope}" if address.scope else ""
    return HostPort(f"{address.host}{zone}", address.port)


def listen(
    spec: ListenerSpec, strategy: TransparencyStrategy, log: Log, *, beside: Iterable["ListeningSocket"] = ()
) -> ListeningSocket:
    """Bind and listen on a spec with one address (see `expand`). Raises `ListenError`.

    An option that the kernel refuses fails the listener: SO_BINDTODEVICE, say, decides who can connect. `beside`:
    sockets of ours that have the port on other addresses (the wildcard, or one of it), and are to be closed soon.
    """
    (address,) = names.lookup(spec.endpoint, default_host=names.ANY)
    if isinstance(address, UnixPath):
        _remove_stale(address.path)
    try:
        # Fails where the kernel has no IPv6, or no more descriptors.
        sock = socket.socket(socket.AF_UNIX if isinstance(address, UnixPath) else address.family, socket.SOCK_STREAM)
    except OSError as error:
        raise ListenError(address=spec.endpoint, reason=errno_text(error)) from error
    try:
        sock.setblocking(False)
        sockopts.demand(sock, spec.options, "accept", log)
        _prepare(sock, spec, strategy, log)
        with _sharing(sock, *(other.sock for other in beside)):
            sock.bind(address.path if isinstance(address, UnixPath) else address.sockaddr)
            sock.listen(BACKLOG)
    except SocketError as error:
        sock.close()
        raise ListenError(address=spec.endpoint, reason=error) from error
    except OSError as error:
        sock.close()
        raise ListenError(address=spec.endpoint, reason=errno_text(error)) from error
    if isinstance(address, SocketAddress):
        # Port 0 was given a number.
        address = from_sockaddr(sock.getsockname()) or address
    listening = ListeningSocket(spec, sock, address)
    try:
        listening.give_to(*spec.owner)
    except ListenError:
        listening.close()
        raise
    return listening


def adopt(sock: socket.socket, spec: ListenerSpec, strategy: TransparencyStrategy, log: Log) -> ListeningSocket:
    """Take over a socket that somebody else has bound, for an accept line. Its address is its own, not the spec's.

    Raises `ListenError` for what is no listening stream socket.
    """
    try:
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        stream = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
        name = sock.getsockname()
    except OSError as error:
        raise ListenError(address=spec.endpoint, reason=errno_text(error)) from error
    if not (listens and stream):
        raise ListenError(address=spec.endpoint, reason="what systemd gave for it is not a listening stream socket")
    sock.setblocking(False)
    sockopts.apply(sock, spec.options, "accept", log)
    _prepare(sock, spec, strategy, log)
    return ListeningSocket(spec, sock, from_sockaddr(name) or UnixPath(str(name)), borrowed=True)


@contextlib.contextmanager
def _sharing(sock: socket.socket, *others: socket.socket) -> Iterator[None]:
    """Let a socket have the port that others have: while it is bound, and no longer. The kernel looks at both sides."""
    sockets = (sock, *others) if others else ()
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        yield
    finally:
        for one in sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)


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


def _give(path: str, user: int, group: int) -> None:
    """Its directory may be another user's, and what is there now another file than what we made. Raises `OSError`."""
    if not _is_socket_file(path):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
    os.chown(path, user, group, follow_symlinks=False)


def _is_socket_file(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
