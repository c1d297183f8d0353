"""What connects a program with us: a pair of sockets or a pseudo-terminal, and our end of it as a leg."""

import contextlib
import errno
import os
import socket
import termios
from typing import Any, Final

from gtunnel.net import pairs
from gtunnel.net.errors import SocketError
from gtunnel.net.launch import Launch
from gtunnel.net.legs import PlainLeg
from gtunnel.net.ptyleg import PtyLeg
from gtunnel.net.waiting import Wakeup
from gtunnel.values import dataclass

STANDARD_ERROR: Final = 2


class ProgramLeg(PlainLeg):
    """A leg whose peer is a program. One that ends without having read everything has ended all the same: what it did
    not want is dropped."""

    __slots__ = ()

    def receive(self, buffer: memoryview) -> int | None:
        """See `Leg`."""
        try:
            return super().receive(buffer)
        except SocketError as error:
            if _is_end(error):
                return 0
            raise

    def send(self, data: memoryview) -> int:
        """See `Leg`."""
        try:
            return super().send(data)
        except SocketError as error:
            if _is_end(error):
                return len(data)
            raise

    def finish(self) -> None:
        """See `Leg`."""
        with contextlib.suppress(SocketError):
            super().finish()


@dataclass(frozen=True, slots=True)
class Ends:
    """What connects a program with us: our descriptor, and the program's. `terminal` is the path of a pty."""

    ours: socket.socket | int
    theirs: socket.socket | int
    terminal: str | None = None

    def leg(self, wakeup: Wakeup) -> "ProgramLeg | PtyLeg":
        """Our end as a leg, which owns it."""
        return PtyLeg(self.ours, wakeup) if isinstance(self.ours, int) else ProgramLeg(self.ours, wakeup)

    def actions(self, *, aloud: bool) -> list[tuple[int, ...]]:
        """What the child does with its descriptors (posix_spawn_file_actions_addopen(3))."""
        number = self.theirs if isinstance(self.theirs, int) else self.theirs.fileno()
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, number, 0)]
        if self.terminal is not None:
            # A session without a terminal takes the one that it opens for its own.
            actions = [(os.POSIX_SPAWN_OPEN, 0, self.terminal, os.O_RDWR, 0)]
        actions.append((os.POSIX_SPAWN_DUP2, 0, 1))
        if not aloud:
            actions.append((os.POSIX_SPAWN_DUP2, 0, STANDARD_ERROR))
        return actions

    def held(self) -> socket.socket | None:
        """Let go of the program's end, when the program has it; or what has to be held until the program's end."""
        if isinstance(self.theirs, socket.socket) and self.theirs.family == socket.AF_INET:
            return self.theirs
        _close(self.theirs)
        return None

    def close(self) -> None:
        """Let go of both."""
        _close(self.ours)
        _close(self.theirs)


def make(launch: Launch) -> Ends:
    """The ends for a program that is about to be started. Raises `OSError`."""
    return _terminal() if launch.settings.pty else Ends(*pairs.connected(launch.mark))


def _terminal() -> Ends:
    """A pty, as stunnel prepares it: ordinary, but without output processing, so that bytes come as they are sent."""
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    path = os.ttyname(theirs)
    # In a jail there is perhaps none: then the program has a terminal that does not control it.
    return Ends(ours, theirs, path if os.access(path, os.R_OK | os.W_OK) else None)


def _close(end: socket.socket | int) -> None:
    if isinstance(end, int):
        os.close(end)
    else:
        end.close()


def _is_end(error: SocketError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno in (errno.ECONNRESET, errno.EPIPE)
