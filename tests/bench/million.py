"""A million connections through one worker: it must not grow.

    python -m tests.bench.million [--count 1000000]

Each connection is resumed, but for the first of every hundred, and has a byte there and back. Exit status 1, and what
was wrong, if anything grew over the last two thirds of the time or a connection failed.
"""

import ssl
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.bench import backends, turns
from tests.bench.loads import Running
from tests.bench.longrun import Amount, Outcome, carry_out
from tests.bench.proxies import Setup, gtunnel
from tests.bench.sampling import sampling
from tests.bench.traffic import traffic
from tests.bench.usage import cpu_seconds
from tests.support.certificates import Pki
from tests.support.ports import free_port

_COUNT = 1_000_000
_PROCESSES = 4
_BATCH = 100
# The least that counts as going on: below it, the run ends as a failure.
_SLOWEST = 50.0
# As many samples in a run of thousands as in one of millions.
_SAMPLES = 200


def million(count: int) -> Outcome:
    """Run about so many connections, a whole number of batches in each process."""
    turns_each = max(count // (_PROCESSES * _BATCH), 1)
    total = turns_each * _PROCESSES * _BATCH
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        setup = Setup(
            client=False,
            workers=1,
            listen=free_port(),
            backend=stack.enter_context(backends.crowd_echo(1)),
            pem=Pki(Path(name)).server.pem,
            directory=Path(name),
        )
        pid = stack.enter_context(gtunnel().running(setup))
        running = Running(pid=pid, port=setup.listen, tls=True, status=0)
        # Each process has an address of its own, so that ports in TIME_WAIT do not run out.
        version = ssl.TLSVersion.TLSv1_3
        groups = [
            {"resumed": partial(turns.resumed, running, _BATCH, version, f"127.0.0.{2 + number}")}
            for number in range(_PROCESSES)
        ]
        expected = total / 500  # seconds, on a machine of two processors
        samples = stack.enter_context(sampling(pid, min(max(expected / _SAMPLES, 0.25), 5.0)))
        busy = stack.enter_context(traffic(groups, limit=turns_each))
        began, spent = time.monotonic(), cpu_seconds(pid)
        while busy.working() and not busy.failures() and time.monotonic() - began < total / _SLOWEST + 60:
            time.sleep(0.2)
        took, spent, made = time.monotonic() - began, cpu_seconds(pid) - spent, sum(busy.counts().values())
        failures = busy.failures()
        if made < total and not failures:
            failures = [f"only {made} of {total} connections within {took:.0f} s"]
        facts = [
            f"{made} connections through one worker in {took / 60:.1f} minutes: {made / took:.0f} per second",
            f"{spent / max(made, 1) * 1e6:.0f} us of processor time for each",
        ]
        log = (Path(name) / "gtunnel.log").read_text()
    return Outcome(samples=samples, facts=facts, failures=failures, log=log)


def main() -> None:
    """Run, print, publish. Exit status 1 if something grew or failed."""
    amount = Amount(option="count", usual=_COUNT, least=1000, most=100_000_000)
    carry_out("million", __doc__, amount, lambda count: million(int(count)))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
