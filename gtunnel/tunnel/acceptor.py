"""Accepting: a burst at a time, as long as there are descriptors for the connections.

All workers wait on the same listening sockets; the kernel gives a connection to whoever asks first. A worker that has
more connections than another (`loads`) leaves the next ones to it for a moment. When a worker has as many connections
as its descriptors allow, it stops asking, and new ones wait in the kernel's backlog (or go to another worker) until one
has ended: accepting is delayed, not failed.
"""

import errno
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, Final

from gevent import get_hub

from gtunnel.address import SocketAddress, from_sockaddr
from gtunnel.events import Level, Log
from gtunnel.net.errors import errno_text
from gtunnel.net.listen import ListeningSocket
from gtunnel.net.transparency import Accepted
from gtunnel.tunnel.attendants import Attendants
from gtunnel.tunnel.connection import Connection, client_address
from gtunnel.tunnel.loads import Share
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.workplace import Workplace

# Others get their turn after so many; a burst that was waiting is still taken in few turns.
BURST: Final = 16
# How long a worker that is ahead leaves new connections to others. If nobody has come for them (who has fewer may be
# busy, or hang), it takes all that come for the next while.
COURTESY_SECONDS: Final = 0.01
GRUDGE_SECONDS: Final = 0.05
# How long to wait after the kernel ran out of something that no counting foretold (system-wide limits, memory).
PAUSE_SECONDS: Final = 0.5
# A full worker is full again with every connection that ends: it says so this often.
COMPLAINT_SECONDS: Final = 60.0
# What connections have for ending when the worker does.
KILL_SECONDS: Final = 1.0

_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Acceptor:
    """Accepts for all services of one worker. Does not own the listening sockets."""

    def __init__(self, workplace: Workplace, room: int, log: Log, share: Share | None = None) -> None:
        """`room`: how many connections at a time the worker's descriptors allow. `share`: among other workers."""
        self._workplace = workplace
        self._room = room
        self._log = log
        self._share = share
        self._loop = get_hub().loop
        self._watchers: list[tuple[Any, ListeningSocket, Service]] = []
        self._attendants = Attendants(self._ended)
        # Connections without a greenlet. Each connection is here, or one of those attends to it.
        self._left: set[Connection] = set()
        self._open = False
        self._full = False
        self._complained = -COMPLAINT_SECONDS
        self._pause: Any = None
        self._grudge = 0.0

    def add(self, listening: ListeningSocket, service: Service) -> None:
        """Accept for `service` on a socket from `start` on."""
        self._watchers.append((self._loop.io(listening.sock.fileno(), 1), listening, service))

    def start(self) -> None:
        """Begin to accept."""
        self._open = True
        self._note()
        self._resume()

    def sweep(self) -> None:
        """Accept who waits already: where nobody listens any more after us, they would be reset."""
        for _, listening, service in self._watchers:
            for _ in range(socket.SOMAXCONN // BURST):
                before = self._present
                self._accept(listening, service, BURST)
                if self._present < before + BURST:
                    break

    def stop(self) -> None:
        """Accept no more, for good. Live connections go on."""
        self._open = False
        self._suspend()
        self._end_pause()
        if self._share is not None:
            self._share.leave()
        for watcher, _, _ in self._watchers:
            watcher.close()
        self._watchers.clear()

    def drained(self) -> bool:
        """Whether all connections have ended."""
        return not self._present

    @property
    def _present(self) -> int:
        return self._attendants.busy + len(self._left)

    def left(self, connection: Connection) -> None:
        """See `Host`."""
        self._left.add(connection)

    def resume(self, connection: Connection) -> None:
        """See `Host`."""
        # Whoever is stopped hears nothing more.
        if connection in self._left:
            self._left.discard(connection)
            self._attendants.attend(connection.resume)

    def kill(self) -> None:
        """End all connections now."""
        while self._left:
            self._attendants.attend(self._left.pop().stop)
        self._attendants.kill(KILL_SECONDS)

    def _resume(self) -> None:
        self._end_pause()
        if self._open and not self._full:
            for watcher, listening, service in self._watchers:
                watcher.start(self._ready, listening, service)

    def _suspend(self) -> None:
        for watcher, _, _ in self._watchers:
            watcher.stop()

    def _suspend_for(self, seconds: float, then: Callable[[], None]) -> None:
        self._suspend()
        self._pause = self._loop.timer(seconds)
        self._pause.start(then)

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.close()
            self._pause = None

    def _ready(self, listening: ListeningSocket, service: Service) -> None:
        share = self._share
        if share is None or monotonic() < self._grudge:
            self._accept(listening, service, BURST)
            return
        for _ in range(BURST):
            if share.is_ahead(self._present):
                self._give_way(share.least())
                return
            if not self._accept(listening, service, 1):
                return

    def _give_way(self, least: int) -> None:
        """Let others have what waits, for a moment."""
        self._suspend_for(COURTESY_SECONDS, partial(self._go_on, least))

    def _go_on(self, least: int) -> None:
        if self._share is not None and self._share.least() <= least:
            self._grudge = monotonic() + GRUDGE_SECONDS
        self._resume()

    def _accept(self, listening: ListeningSocket, service: Service, most: int) -> bool:
        """Accept up to `most` connections; False if there were not so many, or none may be accepted now."""
        for _ in range(most):
            if self._present >= self._room:
                self._fill_up()
                return False
            try:
                sock, sockaddr = listening.sock.accept()
            except BlockingIOError:
                return False
            except OSError as error:
                self._failed(service, error)
                return False
            self._serve(sock, sockaddr, listening, service)
        return True

    def _note(self) -> None:
        if self._share is not None:
            self._share.note(self._present)

    def _serve(self, sock: socket.socket, sockaddr: object, listening: ListeningSocket, service: Service) -> None:
        sock.setblocking(False)
        listener = listening.address if isinstance(listening.address, SocketAddress) else None
        accepted = Accepted(sock, client_address(from_sockaddr(sockaddr)), listener)
        self._workplace.accepted += 1
        self._attendants.attend(partial(self._attend, service, accepted))
        self._note()

    def _attend(self, service: Service, accepted: Accepted) -> None:
        # Made in the connection's own greenlet: its watchers belong to it.
        Connection(service, accepted, self._workplace, self).serve()

    def _ended(self) -> None:
        if self._open:
            self._note()
        if self._full and self._present < self._room:
            self._full = False
            self._resume()

    def _fill_up(self) -> None:
        self._full = True
        self._suspend()
        now = monotonic()
        if now - self._complained < COMPLAINT_SECONDS:
            return
        self._complained = now
        self._log.write(
            Level.WARNING, f"{self._room} connections are all that the descriptor limit allows: accepting is delayed"
        )

    def _failed(self, service: Service, error: OSError) -> None:
        if error.errno not in _EXHAUSTED:
            # ECONNABORTED and the like: that connection is gone, the next one is not (accept(2)).
            self._log.write(Level.INFO, f"accept: Service [{service.name}]: {errno_text(error)}")
            return
        self._log.write(Level.WARNING, f"accept: Service [{service.name}]: {errno_text(error)}: accepting is delayed")
        self._suspend_for(PAUSE_SECONDS, self._resume)
