"""The lab's programs are found and ended; any other's are not touched."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from netsetup.lab import processes

LAB = f"test-processes-{os.getpid()}"
MARK = {processes.ENVIRONMENT_MARK: LAB}
Start = Callable[..., "subprocess.Popen[bytes]"]


def here() -> tuple[int, int]:
    """The namespace that this process is in: finding programs needs no root."""
    status = os.stat("/proc/self/ns/net")  # noqa: PTH116 - a stat of a magic link
    return status.st_dev, status.st_ino


@pytest.fixture
def start() -> Iterator[Start]:
    """`start(script, ours=True)`: a shell script beside the test."""
    running: list[subprocess.Popen[bytes]] = []

    def popen(script: str, *, ours: bool = True) -> "subprocess.Popen[bytes]":
        environment = {**os.environ, **(MARK if ours else {})}
        child = subprocess.Popen(["sh", "-c", script], env=environment, stdout=subprocess.PIPE)
        running.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        return child

    yield popen
    for child in running:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def ours() -> list[int]:
    """Pids of the lab's programs."""
    return [process.pid for process in processes.processes_in(here(), LAB) if process.ours]


def test_programs_are_ours_by_their_environment(start: Start) -> None:
    marked, other = start("echo ready; exec sleep 100"), start("echo ready; exec sleep 100", ours=False)
    found = {process.pid: process for process in processes.processes_in(here(), LAB)}
    assert found[marked.pid].ours
    assert found[marked.pid].command == "sleep 100"
    assert not found[other.pid].ours
    assert os.getpid() not in found


def test_another_lab_s_programs_are_not_ours(start: Start) -> None:
    start("echo ready; exec sleep 100")
    assert all(not process.ours for process in processes.processes_in(here(), LAB + "0"))
    assert all(not process.ours for process in processes.processes_in(here(), LAB[:-1]))


def test_only_the_namespace_in_question_is_looked_at(start: Start) -> None:
    child = start("echo ready; exec sleep 100")
    processes.end([(0, 0)], LAB)
    assert child.poll() is None


def test_programs_end_with_their_children(start: Start) -> None:
    child, other = start("sleep 100 & sleep 100 & echo ready; wait"), start("echo ready; exec sleep 99", ours=False)
    assert len(ours()) == 3
    processes.end([here()], LAB)
    assert ours() == []
    assert child.wait(1) == -15
    assert other.poll() is None


def test_what_does_not_listen_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    child = start("trap '' TERM; echo ready; while :; do sleep 1; done")
    began = time.monotonic()
    processes.end([here()], LAB)
    assert child.wait(1) == -9
    assert time.monotonic() - began < 2
    assert ours() == []


def test_nothing_to_end_is_no_error() -> None:
    processes.end([here()], LAB)
    processes.end([], LAB)
