"""Processes that keep a proxy busy for long: each takes its turns over and over, and counts them.

A turn is a function without arguments (a partial of a module's one: it is handed to another process) that makes some
connections and returns how many. What it raises is a failure, and the process goes on.
"""

import multiprocessing
import os
import queue
import signal
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tests.bench.backends import allow_descriptors
from tests.support.tls import TruncatedError

Turn = Callable[[], int]
# Of what was said about failures, as much as a person reads.
_TOLD = 20
# For all processes together, to finish their turns; some take a minute, and are not worth waiting for.
_END_SECONDS = 5.0


class Traffic:
    """What the processes have done so far."""

    def __init__(self, names: Sequence[str], processes: Sequence[Any], counts: Any, failures: Any) -> None:
        self._names, self._processes, self._counts, self._queue = names, processes, counts, failures
        self._failures: list[str] = []

    def counts(self) -> dict[str, int]:
        """Connections by kind of turn."""
        return dict(zip(self._names, self._counts, strict=True))

    def failures(self) -> list[str]:
        """A line for each turn that failed, the first ones; and for a process that died."""
        with suppress(queue.Empty):
            while len(self._failures) < _TOLD:
                self._failures.append(self._queue.get_nowait())
        dead = [f"a process of the load ended with {one.exitcode}" for one in self._processes if one.exitcode]
        return [*self._failures, *dead]

    def working(self) -> bool:
        """Whether a process still has turns to take."""
        return any(process.is_alive() for process in self._processes)


@contextmanager
def traffic(groups: Sequence[Mapping[str, Turn]], limit: int | None = None) -> Iterator[Traffic]:
    """A process for each group, which takes its turns as long as the context lasts; `limit`: so many times at most."""
    spawn = multiprocessing.get_context("spawn")
    names = list(dict.fromkeys(name for group in groups for name in group))
    stop, counts, failures = spawn.Event(), spawn.Array("q", len(names)), spawn.Queue()
    processes = []
    for group in groups:
        turns = [(names.index(name), turn) for name, turn in group.items()]
        arguments = (turns, stop, counts, failures, limit, os.getpid())
        processes.append(spawn.Process(target=_labour, args=arguments, daemon=True))
    try:
        for process in processes:
            process.start()
        yield Traffic(names, processes, counts, failures)
    finally:
        stop.set()
        deadline = time.monotonic() + _END_SECONDS
        for process in processes:
            if process.pid is not None:
                process.join(timeout=max(deadline - time.monotonic(), 0))
                process.kill()
                process.join()


def _labour(
    turns: Sequence[tuple[int, Turn]], stop: Any, counts: Any, failures: Any, limit: int | None, parent: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent that ends, and it ends us
    failures.cancel_join_thread()  # what nobody has read is no reason to stay
    allow_descriptors()
    taken = 0
    # Whoever kills the parent has killed us too.
    while not stop.is_set() and os.getppid() == parent and (limit is None or taken < limit):
        taken += 1
        for number, turn in turns:
            try:
                made = turn()
            except (OSError, AssertionError, ssl.SSLError, TruncatedError) as error:
                failures.put(f"{getattr(turn, 'func', turn).__name__}: {type(error).__name__}: {error}")
                stop.wait(0.5)
            else:
                with counts.get_lock():
                    counts[number] += made
