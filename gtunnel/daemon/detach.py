"""Going to the background, and telling the shell truthfully whether that worked.

The first process stays until the daemon serves or has failed, so that the exit status of `gtunnel FILE` is that of its
start.
"""

import contextlib
import os

from gtunnel.values import dataclass


@dataclass(slots=True)
class Detached:
    """The daemon's end of the pipe to the process that waits for it, and what will stand for the terminal.

    /dev/null is opened at once: after a chroot there is perhaps none.
    """

    _report: int
    _null: int
    _released: bool = False

    def ready(self) -> None:
        """Let the first process exit with 0, and let go of the terminal."""
        # Somebody may have ended the process that waits; that is no reason to stop serving.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._report, b"0")
        self.release()

    def release(self) -> None:
        """Let go of the terminal and of the pipe: what a worker does at once. Again: nothing is left to do."""
        if self._released:
            return
        self._released = True
        for descriptor in (0, 1, 2):
            os.dup2(self._null, descriptor)
        os.close(self._null)
        os.close(self._report)


def detach() -> Detached:
    """Fork twice and start a session. Returns in the daemon only; the first process waits and exits with its status.

    The daemon's standard descriptors stay open until `ready`, so that it can complain on the terminal. If it dies
    before, the first process exits with 1.
    """
    receive, report = os.pipe()
    if os.fork() == 0:
        os.setsid()
        # The second fork gives up the session's leadership: no terminal can become ours.
        if os.fork() == 0:
            os.close(receive)
            return Detached(report, os.open(os.devnull, os.O_RDWR))
        os._exit(0)
    os.close(report)
    started = os.read(receive, 1) == b"0"
    os._exit(0 if started else 1)
