"""A mixed load for half an hour, with reloads: memory, descriptors and threads must stay where they are.

    python -m tests.bench.soak [--minutes 30]

Short and resumed connections, such that stay, that wait, that are half closed or reset, and bulk data; in server and in
client mode; with as many workers as processors. Exit status 1, and what was wrong, if anything grew over the last two
thirds of the time (`sampling.WATCHED` has the bounds) or a connection failed.
"""

import os
import signal
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.bench import backends, turns
from tests.bench.loads import Running
from tests.bench.longrun import Amount, Outcome, carry_out
from tests.bench.proxies import Setup, gtunnel
from tests.bench.sampling import sampling
from tests.bench.traffic import Turn, traffic
from tests.bench.works import CORES
from tests.support.certificates import Pki
from tests.support.ports import free_port

_MINUTES = 30.0
_RELOAD_SECONDS = 180.0
_SAMPLE_SECONDS = 5.0
_BULK = 50_000_000


@contextmanager
def proxy(directory: Path) -> Iterator[dict[str, Running]]:
    """gtunnel with four services, by name: echo and source in server mode, echo and sink in client mode."""
    pem = Pki(directory).server.pem
    with ExitStack() as stack:
        behind = {
            "echo": (stack.enter_context(backends.crowd_echo()), False),
            "source": (stack.enter_context(backends.serving(backends.source, pem)).plain, False),
            "echo out": (stack.enter_context(backends.serving(backends.echo, pem)).tls, True),
            "sink out": (stack.enter_context(backends.serving(backends.sink, pem)).tls, True),
        }
        first, *others = (
            Setup(client=client, workers=CORES, listen=free_port(), backend=port, pem=pem, directory=directory)
            for port, client in behind.values()
        )
        pid = stack.enter_context(gtunnel(*others).running(first))
        yield {
            name: Running(pid=pid, port=setup.listen, tls=not setup.client, status=0)
            for name, setup in zip(behind, (first, *others), strict=True)
        }


def load(services: Mapping[str, Running], wait: float) -> list[dict[str, Turn]]:
    """What goes on at the same time. `wait`: for how many seconds connections do nothing."""
    echo, out = services["echo"], services["echo out"]
    return [
        {
            "short": partial(turns.short, echo),
            "short, client mode": partial(turns.short, out),
            "resumed, TLS 1.3": partial(turns.resumed, echo, 20, ssl.TLSVersion.TLSv1_3),
            "resumed, TLS 1.2": partial(turns.resumed, echo, 20, ssl.TLSVersion.TLSv1_2),
        },
        {
            "kept": partial(turns.keep_alive, echo),
            "kept, client mode": partial(turns.keep_alive, out),
            "half closed": partial(turns.half_closed, echo),
            "half closed, client mode": partial(turns.half_closed, out),
            "reset": partial(turns.reset, echo),
            "reset, client mode": partial(turns.reset, out),
        },
        {
            "bulk to the client": partial(turns.fetched, services["source"], _BULK),
            "bulk to the server, client mode": partial(turns.sent, services["sink out"], _BULK),
        },
        {"idle": partial(turns.waiting, echo, 200, wait)},
        {"idle, client mode": partial(turns.waiting, out, 50, wait)},
    ]


def soak(seconds: float) -> Outcome:
    """Run it for so long. Reloads come every few minutes, in a short run every sixth of it."""
    between = min(_RELOAD_SECONDS, seconds / 6)
    with tempfile.TemporaryDirectory() as name, proxy(Path(name)) as services:
        pid, reloads = services["echo"].pid, 0
        # Connections that wait do so for less than the time between two reloads: a generation of workers, which lives
        # until its last connection has ended, has gone before the next one does.
        groups = load(services, between / 4)
        with sampling(pid, min(_SAMPLE_SECONDS, seconds / 60)) as samples, traffic(groups) as busy:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds and not busy.failures():
                if passed > between * (reloads + 1):
                    os.kill(pid, signal.SIGHUP)
                    reloads += 1
                time.sleep(0.5)
            counts, failures = busy.counts(), busy.failures()
        facts = [
            f"{sum(counts.values())} connections, {len(failures) or 'none'} failed; by kind: "
            + "; ".join(f"{count} {kind}" for kind, count in counts.items()),
            f"{reloads} reloads under this load, in {passed / 60:.1f} minutes",
        ]
        log = (Path(name) / "gtunnel.log").read_text()
    return Outcome(samples=samples, facts=facts, failures=failures, log=log)


def main() -> None:
    """Run, print, publish. Exit status 1 if something grew or failed."""
    amount = Amount(option="minutes", usual=_MINUTES, least=0.5, most=24 * 60)
    carry_out("soak", __doc__, amount, lambda minutes: soak(minutes * 60))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
