"""Processes that load: they count, they tell of failures, and they end."""

import os
import socket
import time
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from tests.bench import backends, turns
from tests.bench.crowd import CrowdError, crowd, latencies
from tests.bench.loads import Running, connected
from tests.bench.traffic import traffic
from tests.bench.usage import tree
from tests.support.certificates import Pki
from tests.support.ports import free_port


def plain(port: int) -> Running:
    """The backend itself, without a proxy."""
    return Running(pid=0, port=port, tls=False, status=0)


def children() -> set[int]:
    """Processes that this one has, but for what Python's multiprocessing keeps for later."""
    return set(tree(os.getpid())) - {resource_tracker._resource_tracker._pid}  # type: ignore[attr-defined]


def test_turns_are_counted_up_to_a_limit_and_failures_are_told() -> None:
    before = children()
    with backends.crowd_echo(1) as port:
        good, bad = plain(port), plain(free_port())
        groups = [
            {"short": partial(turns.short, good, 3), "half": partial(turns.half_closed, good, 2)},
            {"short": partial(turns.short, bad, 3), "reset": partial(turns.reset, good, 4)},
        ]
        with traffic(groups, limit=2) as busy:
            deadline = time.monotonic() + 30
            while busy.working():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert busy.counts() == {"short": 6, "half": 4, "reset": 8}
            assert [line.partition(":")[0] for line in busy.failures()] == ["short", "short"]
            assert "ConnectionRefusedError" in busy.failures()[0]
    assert children() == before


def test_turns_go_on_until_they_are_told_to_end(tmp_path: Path) -> None:
    with backends.serving(backends.echo, Pki(tmp_path).server.pem) as ports:
        proxy = Running(pid=0, port=ports.tls, tls=True, status=0)
        group = {"kept": partial(turns.keep_alive, proxy, 3, 2), "wait": partial(turns.waiting, proxy, 2, 0.01)}
        with traffic([group]) as busy:
            deadline = time.monotonic() + 30
            while busy.counts()["wait"] < 6:
                assert not busy.failures()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert busy.working()
        assert not busy.working()


def test_a_crowd_holds_its_connections_and_they_answer() -> None:
    before = children()
    with (
        backends.crowd_echo(1) as port,
        crowd(plain(port), processes=2) as held,
        connected(plain(port), None) as standing,
    ):
        held.grow(7)
        held.exchange()
        held.grow(9)
        assert held.size == 9
        held.exchange()
        found = latencies(plain(port), standing, 5)
    assert set(found) == {"new_p50", "new_p99", "echo_p50", "echo_p99"}
    assert all(value > 0 for value in found.values())
    assert children() == before


def test_a_crowd_that_nobody_takes_says_so() -> None:
    with crowd(plain(free_port()), processes=1) as held:
        with pytest.raises(CrowdError, match=r"connection 0 from 127\.0\.0\.2: ConnectionRefusedError"):
            held.grow(1)
        # The process is still there, and can be asked again.
        with socket.create_server(("127.0.0.1", 0)), pytest.raises(CrowdError):
            held.grow(1)
