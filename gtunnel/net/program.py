"""Programs that are run for connections (manual, options exec, execArgs, pty).

A program begins as if nobody but inetd had started it: standard input, output and error and no other descriptor, no
signal blocked or ignored, the descriptor limit that gtunnel was started with, a session and process group of its own.

It is started by posix_spawn(3), which stops this process until the program runs, but neither copies its memory nor runs
Python in the child, so threads and the event loop do not matter. Its end is learnt from a pidfd in the event loop:
SIGCHLD is nobody's business here, and no other child of the process is touched.
"""

import array
import contextlib
import fcntl
import os
import resource
import signal
import socket
import termios
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

import gevent
from gevent import get_hub

from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import programends
from gtunnel.net.board import Board
from gtunnel.net.errors import errno_text
from gtunnel.net.launch import Launch
from gtunnel.net.limits import STARTED_WITH

# What a program has for ending after it was asked to, before it is killed.
KILL_SECONDS: Final = 5.0
# Nobody survives SIGKILL, but a process that waits for a disk may take its time.
_BURIAL_SECONDS: Final = 1.0
# Where the kernel has no pidfd (before Linux 5.3), or no descriptor is left for one.
_POLL_SECONDS: Final = 0.1
# How often it is looked whether all that a program wrote has come.
_LOOK_SECONDS: Final = 0.01
# sockios.h: SIOCOUTQ
_OUTPUT_QUEUE: Final = termios.TIOCOUTQ


class ProgramError(GtunnelError):
    """A program that cannot be started."""

    template = "Cannot run {path}: {reason}"


class Program:
    """A program that was started. Our end of the connection is somebody's leg.

    The program's end is held as well until the program has ended and all that it wrote has come: a TCP socket that is
    closed while there is something to read in it is reset, and what was not sent by then is lost.
    """

    def __init__(self, pid: int, held: socket.socket | None, log: Log, home: "Programs") -> None:
        self.pid = pid
        self._held = held
        self._left = False
        self._log = log
        self._home = home
        self._timer: Any = None
        self._descriptor = -1
        loop = get_hub().loop
        self._watcher: Any
        try:
            self._descriptor = os.pidfd_open(pid)
            self._watcher = loop.io(self._descriptor, 1)
        except OSError:
            self._watcher = loop.timer(_POLL_SECONDS, _POLL_SECONDS)
        self._watcher.start(self.reap)

    def leave(self, seconds: float) -> None:
        """The connection has ended: the program has so many seconds to end by itself."""
        self._left = True
        self._release()
        if self in self._home.running:
            if seconds > 0:
                self._later(seconds, self.terminate)
            else:
                self.terminate()

    def terminate(self) -> None:
        """Ask it to end, and see that it does."""
        self.signal(signal.SIGTERM)
        self._later(KILL_SECONDS, self.kill)

    def kill(self) -> None:
        """End it."""
        self._log.write(Level.WARNING, f"Child process {self.pid} did not end when it was asked to: killed")
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to all that it has started in its process group."""
        if self in self._home.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def reap(self) -> None:
        """Bury it if it has ended, and say how."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            pid, status = self.pid, 0
        if not pid:
            return
        self._disarm()
        self._watcher.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._home.running.discard(self)
        if self._home.board is not None:
            self._home.board.forget(self.pid)
        code = os.waitstatus_to_exitcode(status)
        how = f"terminated on {_signal_name(-code)}" if code < 0 else f"finished with code {code}"
        self._log.write(Level.INFO, f"Child process {self.pid} {how}")
        self._release()

    def _release(self) -> None:
        """Let go of the program's end, once nothing more is under way from it."""
        held = self._held
        if held is None:
            return
        if not self._left and _unsent(held):
            self._later(_LOOK_SECONDS, self._release)
            return
        self._held = None
        held.close()
        if self not in self._home.running:
            self._disarm()

    def _later(self, seconds: float, action: Any) -> None:
        self._disarm()
        self._timer = get_hub().loop.timer(seconds)
        self._timer.start(action)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None


class Programs:
    """The programs of one process."""

    def __init__(self, board: Board | None = None) -> None:
        """`board` is where to write what runs."""
        self.running: set[Program] = set()
        self.board = board
        self._alone = False

    def start(self, launch: Launch, variables: Mapping[str, str], log: Log) -> tuple[Program, programends.Ends]:
        """Start a program; our end of the connection to it is the caller's. Raises `ProgramError`."""
        settings = launch.settings
        if not self._alone:
            keep_descriptors()
            self._alone = True
        ends: programends.Ends | None = None
        try:
            ends = programends.make(launch)
            with _limits():
                pid = os.posix_spawn(
                    settings.path,
                    settings.arguments,
                    launch.variables(variables),
                    file_actions=ends.actions(aloud=launch.aloud),
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_DEFAULTS,
                )
        except (OSError, ValueError) as error:
            if ends is not None:
                ends.close()
            # ValueError: what cannot be said to a program, such as a NUL in a certificate's name.
            reason = errno_text(error) if isinstance(error, OSError) else str(error)
            raise ProgramError(path=settings.path, reason=reason) from error
        with contextlib.suppress(OSError):
            # Also what it may raise its limit to. Not before: we might not get ours back.
            resource.prlimit(pid, resource.RLIMIT_NOFILE, STARTED_WITH)
        program = Program(pid, ends.held(), log, self)
        self.running.add(program)
        if self.board is not None:
            self.board.note(pid)
        log.write(Level.INFO, f"Local mode child started (PID={pid})")
        return program, ends

    def end(self, seconds: float) -> None:
        """End all programs: ask, wait for so long, then kill."""
        for program in tuple(self.running):
            program.terminate()
        self._await(seconds)
        for program in tuple(self.running):
            program.kill()
        self._await(_BURIAL_SECONDS)

    def _await(self, seconds: float) -> None:
        deadline = monotonic() + seconds
        while self.running and monotonic() < deadline:
            gevent.sleep(0.02)


def keep_descriptors() -> None:
    """Keep to ourselves what our parent has left open: no program is to have more than its standard descriptors."""
    for name in _open_descriptors():
        with contextlib.suppress(OSError):
            if int(name) > programends.STANDARD_ERROR:
                os.set_inheritable(int(name), False)


def _open_descriptors() -> Iterable[int | str]:
    try:
        return [entry.name for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        # No /proc in a jail. What our parent left open has small numbers.
        return range(256)


_DEFAULTS: Final = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """What a program inherits: the descriptor limit that we were started with, which lets go of nothing of ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(STARTED_WITH[0], soft), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _unsent(sock: socket.socket) -> bool:
    """Whether something that was written to a socket has not reached the other end."""
    count = array.array("i", [0])
    fcntl.ioctl(sock, _OUTPUT_QUEUE, count)
    return count[0] > 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
