"""Asking all workers the same thing at the same time, and waiting for none of them longer than for the others.

Status is asked for by people who may be anybody, as often as they like, also while a worker hangs. So a worker that has
not read what it was asked is asked no more: its queue has to keep room for what the supervisor has to say to it.
"""

import array
import fcntl
import select
import socket
import termios
from collections.abc import Iterable
from time import monotonic
from typing import Any, Final

from gtunnel.daemon import channel
from gtunnel.daemon.channel import Word

# A worker answers in its next turn; one that was stopped does not.
SURVEY_SECONDS: Final = 1.0
# Bytes of the kernel's that unread words take; a word takes some hundred, a queue holds some hundred words.
MAX_UNREAD: Final = 8192
# sockios.h: SIOCOUTQ
_OUTPUT_QUEUE: Final = termios.TIOCOUTQ
_ANSWERS: Final = {Word.COUNT: Word.COUNTS, Word.DETAIL: Word.DETAILS}


def survey(ends: Iterable[socket.socket], question: Word, seconds: float = SURVEY_SECONDS) -> dict[int, Any]:
    """Ask COUNT or DETAIL. Gives what came by the descriptors of `ends`; those that do not answer in time are missing.
    """
    deadline = monotonic() + seconds
    waiting: dict[int, socket.socket] = {}
    poll = select.poll()
    for end in ends:
        channel.discard(end)
        if _unread(end) < MAX_UNREAD and channel.say(end, question):
            waiting[end.fileno()] = end
            poll.register(end, select.POLLIN)
    found: dict[int, Any] = {}
    while waiting and (left := deadline - monotonic()) > 0:
        for number, _ in poll.poll(left * 1000):
            answered, answer = _answer(waiting[number], _ANSWERS[question])
            if answered:
                poll.unregister(number)
                del waiting[number]
            if answer is not None:
                found[number] = answer
    return found


def _answer(end: socket.socket, expected: Word) -> tuple[bool, Any]:
    """Whether there is nothing more to wait for, and what was answered: None if the worker is gone or said nonsense."""
    try:
        data, descriptors, _, _ = socket.recv_fds(end, 1, 1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False, None
    except OSError:
        return True, None
    if data and data != expected.value:
        channel.close_all(descriptors)
        return False, None
    try:
        return True, channel.contents(descriptors)
    except (OSError, ValueError):
        return True, None


def _unread(end: socket.socket) -> int:
    count = array.array("i", [0])
    try:
        fcntl.ioctl(end, _OUTPUT_QUEUE, count)
    except OSError:
        return 0
    return count[0]
