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

from gtunnel.address import ClientAddress, SocketAddress, from_sockaddr
from gtunnel.events import Level, Log
from gtunnel.net.errors import errno_text
from gtunnel.net.listen import ListeningSocket
from gtunnel.net.transparency import Accepted
from gtunnel.tunnel.attendants import Attendants
from gtunnel.tunnel.connection import Connection
from gtunnel.tunnel.loads import Share
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.workplace import Workplace

# Others get their turn after so many; a burst that was waiting is still taken in few turns.
BURST: Final = 16
# Where connections come one by one, asking for a second one is in vain. So each turn takes one, until so many turns
# have found one; after that, twice as many each time.
LONE_TURNS: Final = 16
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


class _Door:
    """A listening socket, and what is the same for all who come in through it. Does not own the socket."""

    __slots__ = ("address", "burst", "found", "kind", "listening", "service", "watcher")

    def __init__(self, watcher: Any, listening: ListeningSocket, service: Service) -> None:
        self.watcher = watcher
        self.listening = listening
        self.service = service
        self.address = listening.address if isinstance(listening.address, SocketAddress) else None
        # What an accepted socket is, too. Plain numbers: `socket.accept` would make two enums of them each time.
        self.kind = (int(listening.sock.family), int(listening.sock.type), listening.sock.proto)
        # How many connections a turn takes, and how many turns in a row have found so many.
        self.burst = 1
        self.found = 0


class Acceptor:
    """Accepts for all services of one worker. Does not own the listening sockets."""

    def __init__(self, workplace: Workplace, room: int, log: Log, share: Share | None = None) -> None:
        """`room`: how many connections at a time the worker's descriptors allow. `share`: among other workers."""
        self._workplace = workplace
        self._room = room
        self._log = log
        self._share = share
        self._loop = get_hub().loop
        self._doors: list[_Door] = []
        # How many connections there are, with a greenlet or without.
        self._present = 0
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
        self._doors.append(_Door(self._loop.io(listening.sock.fileno(), 1), listening, service))

    def start(self) -> None:
        """Begin to accept."""
        self._open = True
        if self._share is not None:
            self._share.note(self._present)
        self._resume()

    def sweep(self) -> None:
        """Accept who waits already: where nobody listens any more after us, they would be reset."""
        for door in self._doors:
            for _ in range(socket.SOMAXCONN):
                if not self._accept(door):
                    break

    def stop(self) -> None:
        """Accept no more, for good. Live connections go on."""
        self._open = False
        self._suspend()
        self._end_pause()
        if self._share is not None:
            self._share.leave()
        for door in self._doors:
            door.watcher.close()
        self._doors.clear()

    def drained(self) -> bool:
        """Whether all connections have ended."""
        return not self._present

    def left(self, connection: Connection) -> None:
        """See `Host`."""
        self._left.add(connection)
        # Its greenlet has done with it, which `_ended` takes for its end.
        self._present += 1

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
            for door in self._doors:
                door.watcher.start(self._ready, door)

    def _suspend(self) -> None:
        for door in self._doors:
            door.watcher.stop()

    def _suspend_for(self, seconds: float, then: Callable[[], None]) -> None:
        self._suspend()
        self._pause = self._loop.timer(seconds)
        self._pause.start(then)

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.close()
            self._pause = None

    def _ready(self, door: _Door) -> None:
        share = self._share
        for _ in range(door.burst):
            if share is not None and share.is_ahead(self._present) and monotonic() >= self._grudge:
                self._give_way(share.least())
                return
            if not self._accept(door):
                door.burst, door.found = 1, 0
                return
        door.found += 1
        if door.found >= LONE_TURNS:
            door.burst = min(2 * door.burst, BURST)

    def _give_way(self, least: int) -> None:
        """Let others have what waits, for a moment."""
        self._suspend_for(COURTESY_SECONDS, partial(self._go_on, least))

    def _go_on(self, least: int) -> None:
        if self._share is not None and self._share.least() <= least:
            self._grudge = monotonic() + GRUDGE_SECONDS
        self._resume()

    def _accept(self, door: _Door) -> bool:
        """Accept a connection; False if there was none, or none may be accepted now."""
        if self._present >= self._room:
            self._fill_up()
            return False
        try:
            # What `socket.accept` does itself, but for the enums: see `_Door`.
            descriptor, sockaddr = door.listening.sock._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return False
        except OSError as error:
            self._failed(door.service, error)
            return False
        sock = socket.socket(*door.kind, fileno=descriptor)
        sock.setblocking(False)
        address = from_sockaddr(sockaddr)
        accepted = Accepted(sock, None if address is None else ClientAddress(address), door.address)
        self._present += 1
        self._workplace.accepted += 1
        self._attendants.attend(partial(self._attend, door.service, accepted))
        if self._share is not None:
            self._share.note(self._present)
        return True

    def _attend(self, service: Service, accepted: Accepted) -> None:
        # Made in the connection's own greenlet: its watchers belong to it.
        Connection(service, accepted, self._workplace, self).serve()

    def _ended(self) -> None:
        self._present -= 1
        if self._open and self._share is not None:
            self._share.note(self._present)
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
