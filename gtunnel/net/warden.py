"""The process that asks TCP wrappers on a worker's behalf.

A check may wait for name servers, and the files may say that the process is to become another program (`twist`). So
each check has a process of its own, a child of the warden, which is small and does nothing else. The worker hears of a
check that ended without an answer like of any other: it is refused.
"""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import syslog
from typing import Final, NoReturn

from gtunnel.address import SocketAddress
from gtunnel.net.libwrap import Libwrap
from gtunnel.values import dataclass

# Checks under way at a time; more wait in the socket until one has ended.
MAX_CHECKS: Final = 64
# A question: names and two addresses.
MAX_QUESTION: Final = 1024
_NUMBER_BYTES: Final = 8

PERMITTED: Final = b"y"
REFUSED: Final = b"n"
FAILED: Final = b"?"


@dataclass(frozen=True, slots=True)
class Question:
    """Whether a client may use a daemon, which it reached at `server`."""

    daemon: str
    client: SocketAddress
    server: SocketAddress | None

    def packed(self, number: int) -> bytes:
        """As it goes to the warden."""
        addresses = [None if one is None else [one.host, one.port, one.scope] for one in (self.client, self.server)]
        return json.dumps([number, self.daemon, *addresses]).encode()

    @staticmethod
    def unpacked(data: bytes) -> "tuple[int, Question]":
        """As it came from the worker."""
        number, daemon, client, server = json.loads(data)
        return number, Question(daemon, SocketAddress(*client), None if server is None else SocketAddress(*server))


def answer(number: int, verdict: bytes) -> bytes:
    """An answer as it goes to the worker."""
    return number.to_bytes(_NUMBER_BYTES) + verdict


def answered(data: bytes) -> tuple[int, bytes]:
    """An answer as it came from the warden: the question's number, and the verdict."""
    return int.from_bytes(data[:_NUMBER_BYTES]), data[_NUMBER_BYTES:]


def start(library: Libwrap) -> socket.socket:
    """Fork a warden; returns the worker's end of the channel to it, which is the caller's. It ends when that is closed.

    Raises `OSError` where there can be no more processes.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        _live(library, theirs)
    theirs.close()
    return ours


def _live(library: Libwrap, end: socket.socket) -> NoReturn:
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGCHLD, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # libwrap may log: it is not to take another descriptor for that of the connection which goes now.
        syslog.closelog()
        _let_go_of_all_but(end.fileno())
        _Warden(library, end).serve()
        status = 0
    finally:
        os._exit(status)


def _let_go_of_all_but(kept: int) -> None:
    """What the worker has open is no business of ours: a listening socket held here would never be closed."""
    most = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 20)
    os.closerange(3, kept)
    os.closerange(kept + 1, most)


class _Warden:
    def __init__(self, library: Libwrap, end: socket.socket) -> None:
        self._library = library
        self._end = end
        # The checks under way: the read end of each child's pipe, and the question's number.
        self._checks: dict[int, int] = {}

    def serve(self) -> None:
        """Until the worker is gone."""
        while True:
            poller = select.poll()
            if len(self._checks) < MAX_CHECKS:
                poller.register(self._end.fileno(), select.POLLIN)
            for pipe in self._checks:
                poller.register(pipe, select.POLLIN)
            for descriptor, _ in poller.poll():
                if descriptor in self._checks:
                    self._finish(descriptor)
                elif not self._begin():
                    return
            self._bury()

    def _begin(self) -> bool:
        data = self._end.recv(MAX_QUESTION)
        if not data:
            return False
        number, question = Question.unpacked(data)
        try:
            reading, writing = os.pipe()
            pid = os.fork()
        except OSError:
            self._say(number, FAILED)
            return True
        if pid == 0:
            self._check(question, writing)
        os.close(writing)
        self._checks[reading] = number
        return True

    def _check(self, question: Question, writing: int) -> NoReturn:
        """In a child of its own. The pipe closes itself if the files make another program of it."""
        try:
            # A check that outlives its warden must not hide that it is gone.
            self._end.close()
            permitted = self._library.permits(question.daemon, question.client, question.server)
            os.write(writing, PERMITTED if permitted else REFUSED)
        finally:
            os._exit(0)

    def _finish(self, reading: int) -> None:
        number = self._checks.pop(reading)
        verdict = os.read(reading, 1)
        os.close(reading)
        self._say(number, verdict or FAILED)

    @staticmethod
    def _bury() -> None:
        """Whoever has ended. What a check became may run for long; nobody waits for it."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def _say(self, number: int, verdict: bytes) -> None:
        with contextlib.suppress(OSError):
            self._end.send(answer(number, verdict))
