"""The rows of the benchmark: what is measured, at which backend, in which mode, with how many workers, and how long."""

import os
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.bench import loads
from tests.bench.loads import Figures, Running

MODES = {False: "server mode", True: "client mode"}
BOTH = (False, True)
# All cores: as many workers as the machine has processors.
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One measurement. `rows` names its figures; with one worker, the proxy is pinned to the first processor.

    `cold`: begin while it is starting. `times`: how often in each round; the median counts.
    """

    rows: tuple[str, ...]
    backend: str
    measure: Callable[[Running], Figures]
    client: bool = False
    workers: int = 1
    key: str = "ec"
    cold: bool = False
    times: int = 1


def works(*, quick: bool, only: str = "") -> list[Work]:
    """All that have a row in which the pattern `only` is found, whatever its case. `quick` makes each shorter."""
    return [work for work in _all(1 if quick else 4) if any(re.search(only, row, re.IGNORECASE) for row in work.rows)]


def _all(scale: int) -> Iterator[Work]:
    yield from _bulk(250_000_000 * scale)
    yield from _connections(300 * scale)
    yield from _messages(scale)
    yield from _all_cores(1.5 * scale)
    yield from _at_rest(500 * scale)


def _bulk(size: int) -> Iterator[Work]:
    for client in BOTH:
        for backend, measure, direction in (("source", loads.download, "client"), ("sink", loads.upload, "server")):
            yield Work(
                rows=(f"bulk to the {direction}, {MODES[client]}, CPU s/GB",),
                backend=backend,
                client=client,
                measure=partial(measure, size=size),
            )


def _connections(count: int) -> Iterator[Work]:
    measure = partial(loads.connections, count=count)
    for key, name in (("ec", "ECDSA"), ("rsa", "RSA 2048")):
        yield Work(rows=(f"full handshake TLS 1.3 {name}, CPU us",), backend="echo", key=key, measure=measure)
    for version, name in ((ssl.TLSVersion.TLSv1_2, "1.2"), (ssl.TLSVersion.TLSv1_3, "1.3")):
        again = partial(loads.resumed, count=count, version=version)
        yield Work(rows=(f"resumed handshake TLS {name}, CPU us",), backend="echo", measure=again)
    yield Work(rows=("client-mode connection, CPU us",), backend="echo", client=True, measure=measure)


def _messages(scale: int) -> Iterator[Work]:
    for client in BOTH:
        for together in (32, 256):
            where = f"{together} connections, {MODES[client]}"
            yield Work(
                rows=(f"keep-alive request, {where}, CPU us", f"requests/s, {where}"),
                backend="web",
                client=client,
                measure=partial(loads.requests, together=together, seconds=1.5 * scale),
            )
        yield Work(
            rows=(f"echo p50, {MODES[client]}, us", f"echo p99, {MODES[client]}, us"),
            backend="echo",
            client=client,
            measure=partial(loads.echoes, count=2500 * scale),
        )


def _all_cores(seconds: float) -> Iterator[Work]:
    where = "all cores, 256 connections"
    yield Work(
        rows=(f"keep-alive request, {where}, CPU us", f"requests/s, {where}"),
        backend="web",
        workers=CORES,
        measure=partial(loads.requests, together=256, seconds=seconds),
    )
    yield Work(
        rows=("connection with a request, all cores, CPU us", "connections/s, all cores"),
        backend="web",
        workers=CORES,
        measure=partial(loads.connection_rate, together=64, seconds=seconds),
    )


def _at_rest(count: int) -> Iterator[Work]:
    measure = partial(loads.idle, count=count)
    yield Work(rows=("idle TLS connection, memory, KiB",), backend="echo", measure=measure)
    yield Work(rows=("at rest, two workers, PSS, MiB",), backend="echo", workers=2, measure=loads.resting)
    start = ("start to the first connection, two workers, ms",)
    yield Work(rows=start, backend="echo", workers=2, cold=True, times=3, measure=loads.starting)
