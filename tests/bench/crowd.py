"""Very many connections, held open by processes of their own: one process has neither the time nor the descriptors."""

import multiprocessing
import signal
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from tests.bench.backends import allow_descriptors
from tests.bench.loads import Running, connected, context, exchange

_PATIENCE_SECONDS = 300.0
# For all holders together, to close their connections in order.
_END_SECONDS = 20.0


class CrowdError(Exception):
    """A holder could not do what it was asked for."""


class Crowd:
    """Processes that hold connections to one proxy, each from a loopback address of its own.

    An address has 28,000 ports for connections to one place; with several, a crowd of any size fits.
    """

    def __init__(self, pipes: Sequence["Connection[Any, Any]"]) -> None:
        self._pipes = pipes
        self.size = 0

    def grow(self, size: int) -> None:
        """Let there be so many connections, each of which has sent a byte and had it back."""
        shares = [size // len(self._pipes) + (number < size % len(self._pipes)) for number in range(len(self._pipes))]
        self._ask([("grow", share) for share in shares])
        self.size = size

    def exchange(self) -> None:
        """A byte there and back on every one of them: they are alive."""
        self._ask([("exchange", 0)] * len(self._pipes))

    def _ask(self, questions: Sequence[tuple[str, int]]) -> None:
        for pipe, question in zip(self._pipes, questions, strict=True):
            pipe.send(question)
        answers = []
        for pipe in self._pipes:
            if not pipe.poll(_PATIENCE_SECONDS):
                raise CrowdError(f"no answer within {_PATIENCE_SECONDS:.0f} s")
            try:
                answers.append(pipe.recv())
            except EOFError:
                answers.append("a process that held connections has ended")
        failed = [answer for answer in answers if answer]
        if failed:
            raise CrowdError(failed[0])


@contextmanager
def crowd(proxy: Running, processes: int = 4) -> Iterator[Crowd]:
    """Without connections yet. They close, and the processes end, with the context."""
    spawn = multiprocessing.get_context("spawn")
    started, pipes = [], []
    try:
        for number in range(processes):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_hold, args=(theirs, proxy, f"127.0.0.{2 + number}"), daemon=True)
            process.start()
            theirs.close()
            started.append(process)
            pipes.append(ours)
        yield Crowd(pipes)
    finally:
        for pipe in pipes:
            pipe.close()  # which they take as their end
        deadline = time.monotonic() + _END_SECONDS
        for process in started:
            process.join(timeout=max(deadline - time.monotonic(), 0))
            process.kill()
            process.join()


def _hold(pipe: "Connection[Any, Any]", proxy: Running, source: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pipe's end is ours
    allow_descriptors()
    tls = context() if proxy.tls else None
    held: list[socket.socket] = []
    with ExitStack() as stack:
        while True:
            try:
                order, number = pipe.recv()
            except EOFError:
                return
            said = ""
            try:
                if order == "grow":
                    while len(held) < number:
                        held.append(stack.enter_context(connected(proxy, tls, source=source)))
                        exchange(held[-1])
                else:
                    for connection in held:
                        exchange(connection)
            except (OSError, AssertionError) as error:
                said = f"connection {len(held)} from {source}: {type(error).__name__}: {error}"
            with suppress(OSError):  # nobody listens any more: the next look at the pipe says so
                pipe.send(said)


def latencies(proxy: Running, standing: socket.socket, probes: int) -> dict[str, float]:
    """p50 and p99 of a new connection with its byte there and back (ms), and of a byte on one that stands (us)."""
    tls = context() if proxy.tls else None
    new, echoed = [], []
    for _ in range(probes):
        began = time.perf_counter()
        with connected(proxy, tls) as connection:
            exchange(connection)
            new.append((time.perf_counter() - began) * 1e3)
        began = time.perf_counter()
        exchange(standing)
        echoed.append((time.perf_counter() - began) * 1e6)
    named = {"new": new, "echo": echoed}
    p50 = {f"{name}_p50": statistics.median(values) for name, values in named.items()}
    return p50 | {f"{name}_p99": statistics.quantiles(values, n=100)[98] for name, values in named.items()}
