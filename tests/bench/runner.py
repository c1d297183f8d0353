"""Runs each kind of work with each program in turn, over and over."""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench import backends
from tests.bench.backends import Ports
from tests.bench.loads import Figures, Running
from tests.bench.proxies import Proxy, Setup
from tests.bench.works import Work
from tests.support.certificates import Pki
from tests.support.ports import free_port

# By row and program, the figure of every round.
Rounds = dict[str, dict[str, list[float]]]


# On a machine with other things to do, a time-out says little the first time.
_ATTEMPTS = 3


class MeasureError(Exception):
    """A measurement failed again and again. The text says which, and how."""


class Bench:
    """The backends, which run as long as the context, and the certificates."""

    def __init__(self, directory: Path, stack: ExitStack, wanted: Iterable[str]) -> None:
        self._directory = directory
        pki = Pki(directory)
        self._pems = {"ec": pki.server.pem, "rsa": pki.server_rsa.pem}
        pem = self._pems["ec"]
        # The web server counts for everybody.
        self._backends: dict[str, Ports] = {"web": stack.enter_context(backends.web(pem, directory))}
        for name, serve in (("echo", backends.echo), ("source", backends.source), ("sink", backends.sink)):
            if name in wanted:
                self._backends[name] = stack.enter_context(backends.serving(serve, pem))

    def run(self, work: Work, proxy: Proxy) -> Figures | None:
        """What one program needs for it; None if it cannot do it."""
        setup = self._setup(work)
        if proxy.configure(setup) is None:
            return None
        return tuple(map(statistics.median, zip(*(self._sure(work, proxy) for _ in range(work.times)), strict=True)))

    def _sure(self, work: Work, proxy: Proxy) -> Figures:
        """What went wrong on a busy machine is done again; what goes wrong every time is a `MeasureError`."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._once(work, proxy)
            except (AssertionError, OSError) as error:
                failed = f"{proxy.name}, {work.rows[0]}: {type(error).__name__}: {error}"
                sys.stderr.write(f"\n{failed} (attempt {attempt} of {_ATTEMPTS})\n")
        raise MeasureError(failed)

    def _once(self, work: Work, proxy: Proxy) -> Figures:
        setup, status = self._setup(work), self._backends["web"].plain
        start = proxy.launched if work.cold else proxy.running
        began = time.perf_counter()
        with start(setup, pinned=work.workers == 1) as pid:
            return work.measure(Running(pid=pid, port=setup.listen, tls=not work.client, status=status, began=began))

    def _setup(self, work: Work) -> Setup:
        ports = self._backends[work.backend]
        return Setup(
            client=work.client,
            workers=work.workers,
            listen=free_port(),
            backend=ports.tls if work.client else ports.plain,
            pem=self._pems[work.key],
            directory=self._directory,
        )


def measure(works: Sequence[Work], proxies: Sequence[Proxy], rounds: int) -> Rounds:
    """Every figure of every round. Raises `MeasureError`."""
    found: Rounds = {row: {} for work in works for row in work.rows}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        bench = Bench(Path(name), stack, {work.backend for work in works})
        for number in range(rounds):
            for work in works:
                _say(f"round {number + 1} of {rounds}: {work.rows[0]}")
                for proxy in proxies:
                    for row, value in zip(work.rows, bench.run(work, proxy) or (), strict=False):
                        found[row].setdefault(proxy.name, []).append(value)
    _say("")
    return found


def _say(text: str) -> None:
    """On a terminal, a line that the next one replaces."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text[:110]}")
        sys.stderr.flush()
