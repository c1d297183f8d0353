"""A worker: one process with a gevent loop that serves a generation's connections.

The supervisor loads this module before it forks (see `crew.preload`), so nothing here may make a gevent hub at import;
and what Python or gevent would load at first use is named here, because in a chroot it could not be found then.
"""

import encodings.idna
import http.client
import signal
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import gevent
import gevent.threadpool
from gevent import get_hub
from gevent.event import Event

from gtunnel.daemon import channel
from gtunnel.daemon.channel import Word
from gtunnel.daemon.garbage import Passes
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.linefile import LogFileError
from gtunnel.daemon.log import Journal
from gtunnel.events import Level, Log
from gtunnel.net import libwrap, redisstore
from gtunnel.net.board import Board
from gtunnel.net.errors import errno_text
from gtunnel.net.limits import DESCRIPTORS_PER_CONNECTION, DESCRIPTORS_WITH_PROGRAM, connections_within
from gtunnel.net.program import Programs
from gtunnel.net.wrappers import Wrappers
from gtunnel.tunnel import rollcall
from gtunnel.tunnel.acceptor import Acceptor
from gtunnel.tunnel.census import Register
from gtunnel.tunnel.loads import Share
from gtunnel.tunnel.programclients import ProgramClients
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.stapler import Stapler
from gtunnel.tunnel.workplace import Workplace
from gtunnel.values import dataclass

# Loaded at first use otherwise, by name or to spare inetd mode that: the codec of host names, the event loop, the pool
# that looks names up, and what talks to OCSP responders and redis.
PRELOADED: Final = (encodings.idna, gevent.config.loop, gevent.threadpool, http.client, redisstore)

# Who started which greenlet, and from where, is for debuggers: a microsecond and half a kibibyte for each connection.
gevent.config.track_greenlet_tree = False

# What programs have for ending when the worker does, which is less than the worker has (`crew.STOP_SECONDS`).
PROGRAMS_SECONDS: Final = 2.0
# How often a draining worker looks whether its last connection has ended.
DRAIN_LOOK_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Counting:
    """What a worker counts together with the others: connections ever, connections now, and its `share` of them. Its
    programs are on the `board`."""

    sequence: SharedCounter
    register: Register | None
    share: Share | None = None
    board: Board | None = None


class Worker:
    """Serves until the supervisor says stop, or is gone."""

    def __init__(self, generation: Generation, end: socket.socket, descriptors: int, count: Counting) -> None:
        """`end` is this side of the channel; `descriptors` the process's limit of them."""
        self._generation = generation
        self._end = end
        self._workplace = Workplace(
            sequence=count.sequence,
            register=count.register,
            max_connections=generation.configuration.process.max_connections,
            wrappers=_wrappers(generation),
            programs=Programs(count.board),
        )
        # Each service has other descriptors than its listener: of its counters, and of its sessions.
        services = len(generation.configuration.services)
        programs = any(service.program is not None for service in generation.configuration.services)
        each = DESCRIPTORS_WITH_PROGRAM if programs else DESCRIPTORS_PER_CONNECTION
        self._room = connections_within(descriptors, listeners=len(generation.bindings) + 4 * services, each=each)
        self._share = count.share
        self._done = Event()
        self._draining = False

    def run(self, journal: Journal, log: Log) -> None:
        """Serve. Returns when it is over."""
        self._journal, self._log = journal, log
        self._workplace.account = None if journal.access is None else journal.access.append
        self._acceptor = Acceptor(self._workplace, self._room, log, self._share)
        for binding in self._generation.bindings:
            self._acceptor.add(binding.listening, binding.service)
        loop = get_hub().loop
        terminated = loop.signal(signal.SIGTERM)
        terminated.start(self._done.set)
        self._end.setblocking(False)
        words: Any = loop.io(self._end.fileno(), 1)
        words.start(self._listen)
        self._passes = Passes()
        self._stapler = Stapler((binding.service for binding in self._generation.bindings), self._workplace.responders)
        self._stapler.start()
        self._acceptor.start()
        self._clients = ProgramClients(self._generation.services, self._workplace)
        self._clients.start()
        channel.say(self._end, Word.READY)
        self._done.wait()
        self._acceptor.stop()
        self._clients.stop()
        self._acceptor.kill()
        self._workplace.programs.end(PROGRAMS_SECONDS)

    def _listen(self) -> None:
        try:
            word = channel.hear(self._end)
        except BlockingIOError:
            return
        except (OSError, ValueError):
            word = None
        # Without the supervisor nobody would reload, rotate or stop us.
        actions: dict[Word | None, Callable[[], object]] = {
            None: self._done.set,
            Word.DRAIN: self._retire,
            Word.REOPEN: self._reopen,
            Word.LIST: lambda: gevent.spawn(self._list),
            Word.COUNT: lambda: gevent.spawn(self._count, detailed=False),
            Word.DETAIL: lambda: gevent.spawn(self._count, detailed=True),
            Word.PING: lambda: channel.say(self._end, Word.PONG),
        }
        if word in actions:
            actions[word]()

    def _retire(self) -> None:
        if self._draining:
            return
        self._draining = True
        self._acceptor.sweep()
        self._acceptor.stop()
        self._stapler.stop()
        self._clients.stop()
        for binding in self._generation.bindings:
            # Only our copy: the file of a Unix socket stays, for whoever listens on it now.
            binding.listening.sock.close()
        gevent.spawn(self._drain)

    def _reopen(self) -> None:
        try:
            self._journal.reopen()
        except LogFileError as error:
            self._log.write(Level.ERR, str(error))

    def _drain(self) -> None:
        limit = self._generation.configuration.process.drain_timeout
        deadline = None if limit is None else monotonic() + limit
        while not self._acceptor.drained() or not self._clients.drained() or self._workplace.programs.running:
            if deadline is not None and monotonic() >= deadline:
                left = len(self._workplace.connections)
                self._log.write(Level.WARNING, f"drainTimeout exceeded: {left} connections from before the reload end")
                break
            gevent.sleep(DRAIN_LOOK_SECONDS)
        self._done.set()

    def _list(self) -> None:
        lines = []
        for connection in list(self._workplace.connections):
            to_tls, to_socket = connection.sent
            lines.append(
                {
                    "service": connection.service.name,
                    "peer": connection.peer,
                    "to_tls": to_tls,
                    "to_socket": to_socket,
                    "started": connection.started,
                }
            )
        self._answer(lines, Word.ANSWER)

    def _count(self, *, detailed: bool) -> None:
        connections, accepted = self._workplace.connections, self._workplace.accepted
        if detailed:
            details = rollcall.details(connections, gevent.sleep)
            self._answer(rollcall.counts(connections, accepted) | {"list": details}, Word.DETAILS)
        else:
            self._answer(rollcall.counts(connections, accepted), Word.COUNTS)

    def _answer(self, answer: object, word: Word) -> None:
        try:
            channel.answer(self._end, answer, word)
        except OSError as error:
            # Nothing to serve worse for: if the supervisor is gone, `_listen` hears that.
            self._log.write(Level.WARNING, f"Cannot list the connections: {errno_text(error)}")


def _wrappers(generation: Generation) -> Wrappers | None:
    """Somebody to ask TCP wrappers, where a service does. That is a process: it is forked while there is no loop."""
    if not any(service.access.libwrap for service in generation.configuration.services):
        return None
    library = libwrap.load()
    return None if library is None else Wrappers(library)
