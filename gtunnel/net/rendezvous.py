"""Waiting for one connection from outside: SOCKS' BIND."""

import errno
import socket
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from gtunnel.address import SocketAddress, from_sockaddr
from gtunnel.errors import ReachError
from gtunnel.net.errors import OwnAddressError, errno_text
from gtunnel.net.legs import PlainLeg
from gtunnel.net.waiting import READ, Wakeup

# Whoever knocks meanwhile is turned away one by one.
_BACKLOG: Final = 4


class PeerMissingError(ReachError):
    """Whoever was to come did not."""

    template = "socks: nobody who was expected connected to {address} in time"
    number = errno.ETIMEDOUT


class Rendezvous:
    """A listening socket for one peer. Owns it: `close` it, unless the peer has come."""

    def __init__(self, host: str, wakeup: Wakeup) -> None:
        """Listen at an address, a port of the kernel's choice. Raises `OwnAddressError`."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._sock.setblocking(False)
            self._sock.bind((host, 0))
            self._sock.listen(_BACKLOG)
        except OSError as error:
            self._sock.close()
            raise OwnAddressError(option="socksBind", host=host, reason=errno_text(error)) from error
        self._wakeup = wakeup
        self._watch = wakeup.watch(self._sock.fileno())
        self._open = True

    @property
    def address(self) -> SocketAddress | None:
        """Where the peer has to connect to."""
        return from_sockaddr(self._sock.getsockname())

    def meet(
        self, hosts: Iterable[str], seconds: float, watch_client: Callable[[], None]
    ) -> tuple[PlainLeg, SocketAddress]:
        """Wait for a peer with one of these addresses; others are turned away.

        `watch_client` is called before each wait, and raises if the client has left meanwhile. Raises
        `PeerMissingError`, and what it does.
        """
        expected, deadline = frozenset(hosts), monotonic() + seconds
        address = self.address
        try:
            while (left := deadline - monotonic()) > 0:
                self._watch.want(READ)
                watch_client()
                if not self._wakeup.wait(left):
                    break
                try:
                    sock, name = self._sock.accept()
                except OSError:
                    # Nobody any more, or somebody who has left again.
                    continue
                peer = from_sockaddr(name)
                if peer is None or peer.host not in expected:
                    sock.close()
                    continue
                sock.setblocking(False)
                return PlainLeg(sock, self._wakeup), peer
        finally:
            self.close()
        raise PeerMissingError(address=address)

    def close(self) -> None:
        """Listen no longer."""
        if self._open:
            self._open = False
            self._wakeup.forget(self._watch)
            self._sock.close()
