"""Taking requests from a control socket without ever waiting for who makes them.

Whoever connects has a second to say a word; nobody is waited for, and nobody has more than a few connections that say
nothing. The supervisor looks when SIGIO says that something has happened, and when a time is `due`.
"""

import contextlib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import field
from time import monotonic
from typing import Final

from gtunnel.daemon.control import MAX_REQUEST, REQUEST_SECONDS, Answer, Control, call
from gtunnel.daemon.peers import Peer, peer
from gtunnel.values import dataclass

# Those who wait at a time, and those of one user: somebody who connects and says nothing does not keep others out.
MAX_WAITING: Final = 64
MAX_WAITING_EACH: Final = 8
# Signals and workers get their turn after so many.
BURST: Final = 64


@dataclass(slots=True, eq=False)
class _Visitor:
    connection: socket.socket
    peer: Peer
    deadline: float
    said: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody who asked for something, and waits. `done` is called with the connection when it is over."""

    word: str
    connection: socket.socket
    done: Callable[[socket.socket], None]

    def answer(self, answer: Answer) -> None:
        """Tell, and hang up. Whoever is gone meanwhile does not hear it."""
        line = json.dumps({"done": answer.done, "lines": answer.lines}).encode() + b"\n"
        with contextlib.suppress(OSError):
            if answer.facts is not None:
                self._hand_over(line, answer.facts)
            else:
                # More than the kernel takes at once is a reload's, which not everybody may ask for.
                self.connection.settimeout(REQUEST_SECONDS)
                self.connection.sendall(line)
        self.done(self.connection)

    def _hand_over(self, line: bytes, facts: object) -> None:
        descriptor = os.memfd_create("gtunnel-status", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(json.dumps(facts).encode())
            socket.send_fds(self.connection, [line], [descriptor], socket.MSG_DONTWAIT)
        finally:
            os.close(descriptor)


class Reception:
    """Who is there at one control socket. Owns that, and the connections of who has not been answered."""

    def __init__(self, control: Control, admits: Callable[[Peer], bool]) -> None:
        """`admits` says who may ask at all; the others are sent away without a word."""
        self.control = control
        self._admits = admits
        self._waiting: list[_Visitor] = []
        self._asked: set[socket.socket] = set()
        self._attending = False
        self._more = False

    @property
    def due(self) -> float | None:
        """When to look again if nothing happens (monotonic seconds); None if that need not be."""
        if self._more:
            return monotonic()
        return min((visitor.deadline for visitor in self._waiting), default=None)

    def attend(self) -> None:
        """From now on have SIGIO sent when something happens."""
        self._attending = True
        self.control.attend()

    def look(self) -> list[Request]:
        """Those who have asked for something since. Each is to be answered. Never blocks."""
        self._more = False
        for _ in range(BURST):
            connection = self.control.accept()
            if connection is None:
                break
            self._receive(connection)
        else:
            self._more = True
        now, waiting, requests = monotonic(), self._waiting, []
        self._waiting = []
        for visitor in waiting:
            word = _word(visitor)
            if word is None and now < visitor.deadline:
                self._waiting.append(visitor)
            elif word:
                self._asked.add(visitor.connection)
                requests.append(Request(word, visitor.connection, self._leave))
            else:
                visitor.connection.close()
        return requests

    def _receive(self, connection: socket.socket) -> None:
        who = peer(connection)
        same = sum(visitor.peer.user == who.user for visitor in self._waiting) if who is not None else 0
        if who is None or not self._admits(who) or same >= MAX_WAITING_EACH or len(self._waiting) >= MAX_WAITING:
            connection.close()
            return
        if self._attending:
            # Before it is read for the first time: what comes after that makes a signal.
            call(connection)
        self._waiting.append(_Visitor(connection, who, monotonic() + REQUEST_SECONDS))

    def _leave(self, connection: socket.socket) -> None:
        self._asked.discard(connection)
        connection.close()

    def let_go(self) -> None:
        """Close this process's copies: what a worker does."""
        self.control.let_go()
        self._hang_up()

    def close(self) -> None:
        """It is over."""
        self.control.close()
        self._hang_up()

    def _hang_up(self) -> None:
        for connection in (*self._asked, *(visitor.connection for visitor in self._waiting)):
            connection.close()
        self._asked.clear()
        self._waiting.clear()


def _word(visitor: _Visitor) -> str | None:
    """What a visitor has asked for; empty if it is nonsense or nothing will come; None as long as that is not known."""
    said = visitor.said
    try:
        while b"\n" not in said and len(said) < MAX_REQUEST:
            data = visitor.connection.recv(MAX_REQUEST)
            if not data:
                return ""
            said += data
    except BlockingIOError:
        return None
    except OSError:
        return ""
    word, end, _ = bytes(said).partition(b"\n")
    return word.decode("ascii", "replace").strip() if end else ""
