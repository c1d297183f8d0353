"""The workers, as the supervisor sees them: hiring, draining, losing and dismissing them."""

import contextlib
import gc
import importlib
import os
import signal
import socket
import traceback
from collections.abc import Callable, Iterable
from dataclasses import field
from time import monotonic, sleep
from types import ModuleType
from typing import Any, Final, NoReturn

from gtunnel.daemon import channel
from gtunnel.daemon.channel import Word
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.log import Journal
from gtunnel.events import Level, Log
from gtunnel.net.board import Board
from gtunnel.net.errors import errno_text
from gtunnel.tunnel.census import Census, Register
from gtunnel.tunnel.loads import Loads, Share
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.values import dataclass

# From fork to accepting takes a tenth of this on a busy machine.
START_SECONDS: Final = 30.0
# What a worker has for closing its connections before it is killed.
STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.02

# What the supervisor waits for; it is blocked there, and ignored or default in a worker.
SIGNALS: Final = (
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGCHLD,
    signal.SIGIO,
)
# A terminal sends these to the whole process group; a worker ends when its supervisor says so.
_NOT_FOR_WORKERS: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGQUIT)


@dataclass(slots=True, eq=False)
class Member:
    """A worker process."""

    pid: int
    end: socket.socket
    generation: Generation
    started: float = field(default_factory=monotonic)
    draining: bool = False
    table: int | None = None  # of the census
    share: Share | None = None  # of the load
    board: Board | None = None  # what programs it runs

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Shared:
    """What every worker gets: where to log, the id sequence, the count of connections, the descriptor limit, and what
    to let go of after fork."""

    journal: Journal
    log: Log
    sequence: SharedCounter
    census: Census | None
    descriptors: int
    after_fork: Callable[[], None]


def preload() -> ModuleType:
    """Load all that a worker runs, while the file system is still what it was.

    After a chroot, or once the package on disk was upgraded, a worker could not load it any more, or not the same; and
    what is loaded before the fork is in memory once. Loading gevent is harmless in a process that forks. Using it is
    not, so the supervisor does not know its name: the module comes by its path.
    """
    return importlib.import_module("gtunnel.daemon.worker")


def _rest_memory() -> None:
    """Let go of what is garbage by now, and keep the collector away from the rest, here and in who is forked.

    A collection writes into the head of every object that it looks at, and so makes each process a copy of its own of
    what is in memory once. Garbage of the generation before is among what was frozen then, so that is looked at again.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


@dataclass(frozen=True, slots=True)
class Belongings:
    """What the supervisor sees of one worker: its table of the census, its place among the loads, and its board of
    programs."""

    table: int | None
    share: Share | None
    board: Board | None


class Crew:
    """All worker processes, of this generation and of those that still drain."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._census: Census | None = None
        self._loads = Loads()

    @property
    def members(self) -> tuple[Member, ...]:
        """Everybody who lives."""
        return tuple(self._members.values())

    def hire(self, generation: Generation, count: int, shared: Shared) -> list[Member]:
        """Fork `count` workers for a generation. Fewer come where the kernel allows no more, and the log says so."""
        _rest_memory()
        hired: list[Member] = []
        try:
            while len(hired) < count:
                hired.append(self._fork(generation, shared))
        except OSError as error:
            # A limit on processes, memory or descriptors: what runs goes on.
            shared.log.write(Level.ERR, f"Cannot start a worker: {errno_text(error)}")
        return hired

    def _fork(self, generation: Generation, shared: Shared) -> Member:
        ours, theirs = channel.pair()
        self._census = shared.census
        table = None if shared.census is None else shared.census.take()
        if shared.census is not None and table is None:
            shared.log.write(Level.WARNING, "Too many workers live: the connections of the next one are not limited")
        board = Board() if any(service.launch is not None for service in generation.services) else None
        share = self._loads.take()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            self._give_back(table, share)
            raise
        if pid == 0:
            ours.close()
            # Another worker's channel held here would hide the supervisor's death from it.
            for member in self._members.values():
                member.end.close()
            self._work(generation, theirs, shared, Belongings(table, share, board))
        theirs.close()
        member = Member(pid, ours, generation, table=table, share=share, board=board)
        self._members[pid] = member
        return member

    @staticmethod
    def _work(generation: Generation, end: socket.socket, shared: Shared, own: "Belongings") -> NoReturn:
        """The whole life of the process: it ends here, and never returns into what the supervisor was doing."""
        status = 1
        try:
            for number in _NOT_FOR_WORKERS:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            shared.after_fork()
            worker = preload()
            register = None if shared.census is None else Register(shared.census, own.table)
            count = worker.Counting(shared.sequence, register, own.share, own.board)
            worker.Worker(generation, end, shared.descriptors, count).run(shared.journal, shared.log)
            status = 0
        except BaseException:  # noqa: BLE001 - nobody is above
            for line in traceback.format_exc().splitlines():
                shared.log.write(Level.CRIT, f"INTERNAL ERROR: worker: {line}")
        finally:
            os._exit(status)

    @staticmethod
    def await_ready(members: Iterable[Member]) -> bool:
        """Wait until all accept; False if one died or took longer than `START_SECONDS`."""
        deadline = monotonic() + START_SECONDS
        for member in members:
            member.end.settimeout(max(0.01, deadline - monotonic()))
            try:
                word = channel.hear(member.end)
            except (OSError, ValueError):
                return False
            finally:
                member.end.settimeout(None)
            if word is not Word.READY:
                return False
        return True

    def drain(self, members: Iterable[Member]) -> None:
        """Let workers end when their last connection has. Returns when they accept no more: who asked for a reload is
        told then, and nobody who connects after that is to meet the old configuration. One that hangs is not waited for
        any longer than for an answer."""
        leaving = tuple(members)
        for member in leaving:
            member.draining = True
            channel.say(member.end, Word.DRAIN)
        channel.ping(*(member.end for member in leaving))

    def reopen(self) -> None:
        """Let all reopen their logs."""
        for member in self.members:
            channel.say(member.end, Word.REOPEN)

    def connections(self) -> list[dict[str, Any]]:
        """All live connections, oldest first."""
        found = [line for member in self.members for line in channel.ask(member.end)]
        return sorted(found, key=lambda line: float(line["started"]))

    def unresponsive(self, seconds: float) -> list[Member]:
        """Who should serve, and does not answer in this time."""
        serving = [member for member in self.members if not member.draining]
        answers = channel.ping(*(member.end for member in serving), seconds=seconds)
        return [member for member, there in zip(serving, answers, strict=True) if not there]

    def reap(self) -> list[tuple[Member, int]]:
        """Bury who has died: the member and its wait status."""
        return self._reap(set(self._members))

    def _reap(self, pids: set[int]) -> list[tuple[Member, int]]:
        dead: list[tuple[Member, int]] = []
        for pid in self._left(pids):
            found, status = self._wait(pid)
            if found:
                member = self._members.pop(pid)
                member.end.close()
                self._give_back(member.table, member.share)
                if member.board is not None:
                    member.board.end_all()
                dead.append((member, status))
        return dead

    def _give_back(self, table: int | None, share: Share | None) -> None:
        self._loads.give_back(share)
        if table is not None and self._census is not None:
            self._census.give_back(table)

    @staticmethod
    def _wait(pid: int) -> tuple[int, int]:
        try:
            return os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return pid, 0

    def dismiss(self, members: Iterable[Member], log: Log) -> None:
        """Stop workers: ask, wait `STOP_SECONDS`, then kill. Others that die meanwhile are left for `reap`."""
        leaving = {member.pid for member in members}
        self._signal(leaving, signal.SIGTERM)
        deadline = monotonic() + STOP_SECONDS
        while self._left(leaving) and monotonic() < deadline:
            self._reap(leaving)
            sleep(_POLL_SECONDS)
        stuck = self._left(leaving)
        for pid in stuck:
            log.write(Level.WARNING, f"Worker {pid} did not stop within {STOP_SECONDS:.0f} seconds: killed")
        self._signal(stuck, signal.SIGKILL)
        while self._left(stuck):
            self._reap(stuck)
            sleep(_POLL_SECONDS)

    def _left(self, pids: set[int]) -> set[int]:
        return pids & self._members.keys()

    @staticmethod
    def _signal(pids: Iterable[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
