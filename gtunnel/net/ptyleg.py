"""A leg that is the master of a pseudo-terminal (pty(7)): a program's terminal, as a connection.

It differs from a socket in its ends. A program that lets go of its terminal is EIO here, not an empty read. And a
terminal has one direction less to end: to say that nothing more comes, its end-of-file character is typed, which a
program that reads lines understands; one that reads raw bytes learns of it when the line is hung up.
"""

import contextlib
import errno
import os
import termios
from typing import Final

from gtunnel.net.errors import SocketError
from gtunnel.net.waiting import READ, WRITE, Wakeup

# tcgetattr(3): local modes, and special characters.
_LFLAG: Final = 3
_CC: Final = 6


class PtyLeg:
    """See `Leg`. Owns the master's descriptor."""

    __slots__ = ("_fd", "_wakeup", "blocked", "watch")
    pending = False

    def __init__(self, master: int, wakeup: Wakeup) -> None:
        """Take over `master`, which must be non-blocking."""
        self._fd = master
        self.blocked = False
        self._wakeup = wakeup
        self.watch = wakeup.watch(master)

    def receive(self, buffer: memoryview) -> int | None:
        """See `Leg`."""
        try:
            return os.readv(self._fd, [buffer])
        except BlockingIOError:
            self.watch.readable = False
            return None
        except OSError as error:
            if error.errno == errno.EIO:
                return 0
            raise SocketError.of("read from the pty", error) from error

    def send(self, data: memoryview) -> int:
        """See `Leg`."""
        try:
            count = os.write(self._fd, data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            raise SocketError.of("write to the pty", error) from error
        self.blocked = count < len(data)
        return count

    def flush(self) -> bool:
        """See `Leg`: nothing is kept."""
        self.blocked = False
        return True

    def finish(self) -> None:
        """See `Leg`. Twice, as a line that was begun takes the first one for its end."""
        with contextlib.suppress(OSError, termios.error):
            attributes = termios.tcgetattr(self._fd)
            if attributes[_LFLAG] & termios.ICANON:
                os.write(self._fd, 2 * attributes[_CC][termios.VEOF])

    def spare(self) -> None:
        """See `Leg`: a terminal has no other end than this."""
        self.finish()

    def want(self, *, receive: bool, send: bool) -> None:
        """See `Leg`."""
        self.watch.want((READ if receive else 0) | (WRITE if send else 0))

    def shrink(self) -> None:
        """See `Leg`."""
        self.watch.shrink()

    def close(self, *, reset: bool) -> None:  # noqa: ARG002 - a hang-up is all that a terminal knows
        """See `Leg`. The kernel tells the program's session by SIGHUP."""
        self._wakeup.forget(self.watch)
        os.close(self._fd)
