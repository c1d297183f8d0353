"""Idle connections in one worker, up to 20,000: what each takes, and whether a new one waits longer as they grow.

    python -m tests.bench.idle [--count 20000] [--with gtunnel,stunnel4]

A tunnel has two descriptors, so one process can hold half as many connections as its limit: the hard one, which root
may raise unless the system forbids it. The curve then ends there, and says so.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench import about, backends, plots, results
from tests.bench.__main__ import chosen, end_on_sigterm
from tests.bench.crowd import CrowdError, crowd, latencies
from tests.bench.loads import Running, connected, context, exchange
from tests.bench.page import page
from tests.bench.proxies import Proxy, Setup, available
from tests.bench.usage import cpu_seconds, memory_mib
from tests.support.certificates import Pki
from tests.support.ports import free_port

COUNT = 20_000
_STEPS = (100, 500, 1000, 2000, 4000, 6000, 8000, 9000, 9600, 10_000, 12_000, 14_000, 16_000, 18_000, 20_000)
_PROBES = 200
# What a program needs for itself: libraries, logs, loops, its listening sockets.
_OWN_DESCRIPTORS = 100
_REST_SECONDS = 2.0

Step = dict[str, float]


def steps_to(count: int, limit: int) -> tuple[int, ...]:
    """How many connections to look at: up to `count`, and no more than a process with `limit` descriptors can hold."""
    most = min(count, (limit - _OWN_DESCRIPTORS) // 2)
    return (*(step for step in _STEPS if step < most), most)


def curve(proxy: Proxy, setup: Setup, steps: Iterable[int]) -> Iterator[Step]:
    """Figures for each number of connections, as far as the program goes. Raises `CrowdError` where it ends early."""
    with proxy.running(setup, pinned=True) as pid:
        running = Running(pid=pid, port=setup.listen, tls=True, status=0)
        with connected(running, context()) as standing, crowd(running) as held:
            latencies(running, standing, 20)  # what it loads at the first connections
            empty = memory_mib(pid)
            for step in (0, *steps):
                held.grow(step)
                found = {"connections": float(step), **latencies(running, standing, _PROBES)}
                found["kib"] = (memory_mib(pid) - empty) * 1024 / step if step else 0.0
                before = cpu_seconds(pid)
                time.sleep(_REST_SECONDS)
                found["cpu_percent"] = (cpu_seconds(pid) - before) / _REST_SECONDS * 100
                yield found
            exchange(standing)
            held.exchange()


def main() -> None:
    """Measure, print, and publish."""
    end_on_sigterm()
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--with", dest="programs", default="gtunnel,stunnel4", metavar="NAME,...")
    results.add_option(parser)
    arguments = parser.parse_args()
    try:
        programs = chosen(arguments.programs, available())
    except ValueError as error:
        parser.error(str(error))
    limit = backends.allow_descriptors()
    steps, limits = steps_to(arguments.count, limit), []
    if steps[-1] < arguments.count:
        limits.append(f"With a limit of {limit} descriptors a process can hold {steps[-1]} connections.")
    found: dict[str, list[Step]] = {}
    for proxy in programs:
        found[proxy.name] = []
        with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
            setup = Setup(
                client=False,
                workers=1,
                listen=free_port(),
                backend=stack.enter_context(backends.crowd_echo()),
                pem=Pki(Path(name)).server.pem,
                directory=Path(name),
            )
            try:
                for step in curve(proxy, setup, steps):
                    found[proxy.name].append(step)
                    print(
                        f"{proxy.name}: " + ", ".join(f"{key} {value:.1f}" for key, value in step.items()), flush=True
                    )
            except CrowdError as error:
                limits.append(f"{proxy.name} went no further: {error}")
    print("\n".join(limits))
    if arguments.page is not None:
        print(f"See {publish(arguments.page, found, limits, arguments.count)}.")
    if any(line.startswith("gtunnel ") for line in limits):
        sys.exit(1)


def publish(directory: Path, found: dict[str, list[Step]], limits: list[str], count: int) -> Path:
    """Keep the figures, plot the curves, write the page. Returns the page."""
    result: dict[str, Any] = {
        "steps": found,
        "limits": limits,
        "probes": _PROBES,
        "command": f"python -m tests.bench.idle --count {count}",
        "versions": about.versions([*found, "openssl"]),
        "machine": about.machine(),
        "date": about.today(),
    }
    image = results.keep(directory, "idle", result)
    shown = {"new connection, ms": ("new_p50", "new_p99"), "echo, us": ("echo_p50", "echo_p99"), "KiB each": ("kib",)}
    panels = {
        title: {
            f"{name} {key.rpartition('_')[2]}".removesuffix(" kib"): [
                (step["connections"], step[key]) for step in steps if step["connections"]
            ]
            for key in keys
            for name, steps in found.items()
        }
        for title, keys in shown.items()
    }
    plots.curves(
        image, panels, "idle connections in one worker", steep=[title for title in shown if "KiB" not in title]
    )
    return page(directory)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
