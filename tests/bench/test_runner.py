"""The measurements themselves, small: with gtunnel, whose figures are there and make sense; and an early end."""

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.bench import loads
from tests.bench.proxies import FLOOR, Proxy, Setup, available, gtunnel
from tests.bench.runner import MeasureError, measure
from tests.bench.works import Work
from tests.support import needs
from tests.support.tunnels import ROOT

WORKS = [
    Work(rows=("download",), backend="source", measure=partial(loads.download, size=1_000_000)),
    Work(rows=("upload",), backend="sink", client=True, measure=partial(loads.upload, size=1_000_000)),
    Work(rows=("rsa",), backend="echo", key="rsa", measure=partial(loads.connections, count=3)),
    Work(rows=("1.2",), backend="echo", measure=partial(loads.resumed, count=3, version=ssl.TLSVersion.TLSv1_2)),
    Work(rows=("1.3",), backend="echo", measure=partial(loads.resumed, count=3, version=ssl.TLSVersion.TLSv1_3)),
    Work(rows=("p50", "p99"), backend="echo", measure=partial(loads.echoes, count=50)),
    Work(rows=("idle",), backend="echo", measure=partial(loads.idle, count=20)),
    Work(rows=("start",), backend="echo", workers=2, cold=True, times=2, measure=loads.starting),
]


def test_each_measurement_gives_its_figures_in_each_round() -> None:
    needs.program("nginx")  # behind the proxies
    rows = ["download", "upload", "rsa", "1.2", "1.3", "p50", "p99", "idle", "start"]
    found = measure(WORKS, [gtunnel()], 1)
    assert list(found) == rows
    assert all(len(cells["gtunnel"]) == 1 for cells in found.values())
    assert 100 < found["rsa"]["gtunnel"][0] < 200_000
    assert 5 < found["idle"]["gtunnel"][0] < 1000
    assert 0 < found["p50"]["gtunnel"][0] <= found["p99"]["gtunnel"][0]
    assert 10 < found["start"]["gtunnel"][0] < 30_000


def test_requests_are_counted_where_they_arrive() -> None:
    needs.program("nginx")
    if subprocess.run(["sh", "-c", "command -v wrk"], capture_output=True, check=False).returncode:
        pytest.skip("wrk is not installed: tools/install-packages bench")
    work = [
        Work(rows=("us", "rate"), backend="web", measure=partial(loads.requests, together=4, seconds=1.5)),
        Work(rows=("new us", "new"), backend="web", measure=partial(loads.connection_rate, together=4, seconds=1.5)),
    ]
    found = measure(work, [gtunnel()], 1)
    # A new connection costs more than a request, on a busy machine, too; the rates there are anything.
    assert 1 < found["us"]["gtunnel"][0] < found["new us"]["gtunnel"][0]
    assert found["rate"]["gtunnel"][0] > 0
    assert found["new"]["gtunnel"][0] > 0


def test_a_program_that_cannot_do_something_is_left_out() -> None:
    needs.program("nginx")

    def cannot(_: Setup) -> None:
        return None

    assert measure(WORKS[2:3], [Proxy("hitch", cannot)], 1) == {"rsa": {}}


def test_what_fails_every_time_ends_the_run_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    needs.program("nginx")
    tried = []

    def fails(_: loads.Running) -> loads.Figures:
        tried.append(1)
        raise ConnectionResetError(104, "reset")

    with pytest.raises(MeasureError, match=r"gtunnel, broken: ConnectionResetError: .*reset"):
        measure([Work(rows=("broken",), backend="web", measure=fails)], [gtunnel()], 1)
    assert len(tried) == 3
    assert capsys.readouterr().err.count("gtunnel, broken: ConnectionResetError") == 3


def test_what_fails_once_is_done_again() -> None:
    needs.program("nginx")
    tried = []

    def fails_once(_: loads.Running) -> loads.Figures:
        tried.append(1)
        assert len(tried) > 1, "it is busy"
        return (5.0,)

    assert measure([Work(rows=("row",), backend="web", measure=fails_once)], [gtunnel()], 1) == {
        "row": {"gtunnel": [5.0]}
    }


def of_session(session: int) -> list[str]:
    """The names of its processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = path.read_text().rpartition(")")[::2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, _, its = fields.split()[:4]
        if int(its) == session and state != "Z":
            found.append(name)
    return found


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it, for a machine's patience."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)])
def test_an_early_end_leaves_nothing_behind(number: signal.Signals, status: int) -> None:
    needs.program("nginx")
    argv = [sys.executable, "-m", "tests.bench", "--only", "^idle", "--with", "gtunnel"]
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True, text=True) as bench:
        # nginx's two workers and master, the benchmark, its echo, Python's tracker; then gtunnel.
        until(lambda: len(of_session(bench.pid)) >= 8, "gtunnel has not been started")
        if number == signal.SIGINT:
            os.killpg(bench.pid, number)  # as a terminal does it
        else:
            bench.send_signal(number)
        _, said = bench.communicate(timeout=60)
    assert bench.returncode == status, said
    assert "Traceback" not in said
    until(lambda: not of_session(bench.pid), f"left over: {of_session(bench.pid)}")


def test_the_floor_does_the_same_work_where_it_is_asked_for() -> None:
    floor = next(proxy for proxy in available() if proxy.name == FLOOR)
    one = partial(loads.connections, count=2)
    work = [
        Work(rows=("server",), backend="echo", measure=one),
        Work(rows=("client",), backend="echo", client=True, measure=one),
        Work(rows=("1.2",), backend="echo", measure=partial(loads.resumed, count=3, version=ssl.TLSVersion.TLSv1_2)),
        Work(rows=("many workers",), backend="echo", workers=2, measure=one),
    ]
    found = measure(work, [floor], 1)
    measured = {row: len(cells.get(FLOOR, [])) for row, cells in found.items()}
    assert measured == {"server": 1, "client": 1, "1.2": 1, "many workers": 0}
