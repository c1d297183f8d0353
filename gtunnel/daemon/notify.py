"""What a service manager is told (sd_notify(3)): ready, reloading, stopping, and that we are alive."""

import contextlib
import os
import socket
from time import CLOCK_MONOTONIC, clock_gettime_ns, monotonic
from typing import Final

# Twice as often as asked for (sd_watchdog_enabled(3)).
_PER_INTERVAL: Final = 2
_USEC_PER_SECOND: Final = 1_000_000
# A manager that is busy reads later, but one that hangs must not hang us: signals and dead workers wait meanwhile.
TELL_SECONDS: Final = 2.0


class Notifier:
    """Tells the manager that started us; without one, nobody. Make it before a chroot, where its socket is not.

    Takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the environment: programs that we start are none of its
    business.
    """

    def __init__(self) -> None:
        path = os.environ.pop("NOTIFY_SOCKET", "")
        self._sock = _connected(path) if path else None
        interval, meant = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        self._interval: float | None = None
        if self._sock is not None and interval.isdigit() and int(interval) and meant in ("", str(os.getpid())):
            self._interval = int(interval) / _USEC_PER_SECOND / _PER_INTERVAL
        self._last = 0.0

    @property
    def watchdog(self) -> float | None:
        """When a sign of life is due (monotonic seconds); None if nobody waits for one."""
        return None if self._interval is None else self._last + self._interval

    @property
    def patience(self) -> float:
        """How long those who are asked for a sign of life of theirs have for it, in seconds: then there is as much time
        left until ours is late. On a slow machine under load, a worker that lives may need many seconds."""
        return 0.0 if self._interval is None else self._interval / 2

    def ready(self, status: str) -> None:
        """Serving, or serving again. `MAINPID`: who was started may have gone to the background."""
        self._tell(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")

    def reloading(self) -> None:
        """About to read the configuration again."""
        now = clock_gettime_ns(CLOCK_MONOTONIC) // 1000
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reading the configuration")

    def stopping(self) -> None:
        """About to end."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The sign of life."""
        self._last = monotonic()
        self._tell("WATCHDOG=1")

    def close(self) -> None:
        """Tell no more."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _tell(self, text: str) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.send(text.encode(), socket.MSG_NOSIGNAL)


def _connected(path: str) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(TELL_SECONDS)
    try:
        # A name that begins with @ is in the abstract namespace (unix(7)).
        sock.connect("\0" + path[1:] if path.startswith("@") else path)
    except OSError:
        sock.close()
        return None
    return sock
