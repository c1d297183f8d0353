"""What supervisor and worker say to each other: one-byte words over a socket pair of their own.

The same pair tells each of them that the other is gone: it reads as ended. An answer of any length comes as the
descriptor of an anonymous file (SCM_RIGHTS), so that no pipe can fill up between them.
"""

import contextlib
import enum
import json
import os
import socket
from time import monotonic
from typing import Any, Final

# A worker that is busy answers in its next turn; one that hangs must not hang the supervisor.
ANSWER_SECONDS: Final = 3.0


class Word(enum.Enum):
    """The vocabulary."""

    READY = b"r"  # worker: accepting
    DRAIN = b"d"  # supervisor: accept no more, end when the last connection has
    REOPEN = b"o"  # supervisor: reopen the logs
    LIST = b"l"  # supervisor: which connections are there?
    ANSWER = b"a"  # worker: the list, with a descriptor
    PING = b"p"  # supervisor: are you there?
    PONG = b"q"  # worker: yes
    COUNT = b"c"  # supervisor: how many connections are there, of whom?
    COUNTS = b"n"  # worker: so many, with a descriptor
    DETAIL = b"e"  # supervisor: the same, and what is there to tell of each?
    DETAILS = b"f"  # worker: that, with a descriptor


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends: the supervisor's and the worker's. Each process closes the other's after the fork."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def say(end: socket.socket, word: Word) -> bool:
    """Say a word; False if the other side is gone or does not listen. Never blocks."""
    try:
        end.send(word.value, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def hear(end: socket.socket) -> Word | None:
    """Receive a word; None if the other side is gone. Raises `OSError` as the socket does."""
    data = end.recv(1)
    return Word(data) if data else None


def answer(end: socket.socket, lines: object, word: Word = Word.ANSWER) -> None:
    """Answer LIST, or another question by its word."""
    descriptor = os.memfd_create("gtunnel-answer", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(json.dumps(lines).encode())
        socket.send_fds(end, [word.value], [descriptor])
    finally:
        os.close(descriptor)


def ask(end: socket.socket) -> list[dict[str, Any]]:
    """Ask LIST and wait for the answer, `ANSWER_SECONDS` at most; empty if none comes."""
    deadline = monotonic() + ANSWER_SECONDS
    try:
        discard(end)
        if not say(end, Word.LIST):
            return []
        while True:
            end.settimeout(max(0.001, deadline - monotonic()))
            data, descriptors, _, _ = socket.recv_fds(end, 1, 1)
            if data in (b"", Word.ANSWER.value):
                return _lines(descriptors)
            close_all(descriptors)
    except (OSError, ValueError):
        return []
    finally:
        end.settimeout(None)


def ping(*ends: socket.socket, seconds: float | None = None) -> list[bool]:
    """Whether each of the other sides answers, within `seconds` for all together (None: `ANSWER_SECONDS`).

    All are asked at once: one that hangs costs the others nothing of their time.
    """
    deadline = monotonic() + (ANSWER_SECONDS if seconds is None else seconds)
    asked = [_poke(end) for end in ends]
    return [there and _answered(end, deadline) for end, there in zip(ends, asked, strict=True)]


def _poke(end: socket.socket) -> bool:
    try:
        discard(end)
        return say(end, Word.PING)
    except OSError:
        return False
    finally:
        end.settimeout(None)


def _answered(end: socket.socket, deadline: float) -> bool:
    try:
        while True:
            end.settimeout(max(0.001, deadline - monotonic()))
            data, descriptors, _, _ = socket.recv_fds(end, 1, 1)
            close_all(descriptors)
            if data == Word.PONG.value:
                return True
            if not data:
                return False
    except OSError:
        return False
    finally:
        end.settimeout(None)


def discard(end: socket.socket) -> None:
    """Forget what came unasked: READY of a worker that nobody waited for, an answer that was too late for its question.

    What stands first in the queue would otherwise be taken for the answer, this time and for ever after.
    """
    end.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            data, descriptors, _, _ = socket.recv_fds(end, 1, 1)
            close_all(descriptors)
            if not data:
                return


def close_all(descriptors: list[int]) -> None:
    """Let go of what came with a word."""
    for descriptor in descriptors:
        os.close(descriptor)


def contents(descriptors: list[int]) -> Any:
    """What an answer's descriptor holds; None if it came without one. Closes them. Raises `ValueError`, `OSError`."""
    if not descriptors:
        return None
    close_all(descriptors[1:])
    with os.fdopen(descriptors[0], "rb") as file:
        file.seek(0)
        return json.loads(file.read())


def _lines(descriptors: list[int]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] | None = contents(descriptors)
    return lines or []
