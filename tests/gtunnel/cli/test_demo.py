"""`gtunnel demo` as somebody at a terminal sees it, and what is left when it is interrupted."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from gtunnel.cli import demo as command
from gtunnel.demo import gateway, tunnel
from netsetup.lab import Lab, namespaces
from netsetup.lab.errors import CommandFailedError
from tests.support.daemon import Daemon
from tests.support.tunnels import ROOT

NAME = f"test-demo-{os.getpid()}"
SCRIPT = """
import argparse, sys
from gtunnel.cli import demo
parser = argparse.ArgumentParser(prog="gtunnel")
demo.add_parser(parser.add_subparsers())
args = parser.parse_args()
sys.exit(args.func(args))
"""


def call(*arguments: str) -> int:
    """Run the command in this process and return the exit status."""
    parser = argparse.ArgumentParser(prog="gtunnel")
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["demo", "--name", NAME, *arguments])
    return int(args.func(args))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demonstration makes its files: to see that it leaves none."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


def test_a_user_is_shown_the_tunnel_and_how_to_see_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], temporary: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call() == 0
    told = capsys.readouterr().out
    assert "answered 200 OK" in told
    assert "Only root can set up a gateway: sudo gtunnel demo" in told
    assert "gtunnel check FILE" in told
    assert list(temporary.iterdir()) == []


@pytest.mark.root
def test_root_is_shown_the_gateway_too(capsys: pytest.CaptureFixture[str], temporary: Path) -> None:
    assert call() == 0
    assert "the client's own address" in capsys.readouterr().out
    assert Lab(NAME).status().absent
    assert list(temporary.iterdir()) == []


def test_files_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call("--keep", str(tmp_path / "kept")) == 0
    kept = {path.name for path in (tmp_path / "kept").iterdir()}
    assert {"tunnel.conf", "tunnel.log", "localhost.cert.pem", "localhost.key.pem"} <= kept
    assert f"gtunnel check {tmp_path}/kept/tunnel.conf" in capsys.readouterr().out


def test_a_failure_is_told_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], temporary: Path
) -> None:
    monkeypatch.setattr(tunnel, "GTUNNEL", ("sh", "-c", "echo cannot; exit 1"))
    assert call() == 1
    assert "cannot" in capsys.readouterr().err
    assert list(temporary.iterdir()) == []


@pytest.mark.root
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_demonstration_leaves_nothing(number: signal.Signals, status: int, temporary: Path) -> None:
    running = Daemon([sys.executable, "-uc", SCRIPT, "demo", "--name", NAME], cwd=ROOT)
    try:
        running.wait_for("Without gtunnel")
        running.send(number)
        assert running.wait() == status
    finally:
        running.stop()
    assert Lab(NAME).status().absent
    assert list(temporary.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(temporary)], capture_output=True, text=True, check=False).stdout
    assert left == ""


@pytest.mark.root
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated"), (signal.SIGHUP, 129, "Hung up")],
)
@pytest.mark.parametrize(
    ("line", "delay"),
    [
        # While the lab is made,
        ("2. A transparent gateway", 0.0),
        ("2. A transparent gateway", 0.05),
        # and while it is removed.
        ("destroy: ", 0.05),
    ],
)
def test_signals_wait_while_the_lab_is_made_and_removed(
    number: signal.Signals, status: int, word: str, line: str, delay: float
) -> None:
    running = Daemon([sys.executable, "-uc", SCRIPT, "demo", "--name", NAME], cwd=ROOT)
    try:
        running.wait_for(line, timeout=60)
        time.sleep(delay)
        # Twice, and to all that belongs to it: as a terminal does.
        for _ in range(2):
            with suppress(ProcessLookupError):
                os.killpg(running.pid, number)
            time.sleep(0.02)
        # The second may come when all is done and said, and end what is left of Python.
        assert running.wait() in (status, -number)
        assert f"{word}. Everything is removed." in running.output
    finally:
        running.stop()
    assert Lab(NAME).status().absent


@pytest.mark.root
def test_an_interrupted_demonstration_leaves_no_ledger() -> None:
    before = set(Path("/run/gtunnel").glob("*"))
    running = Daemon([sys.executable, "-uc", SCRIPT, "demo", "--name", NAME], cwd=ROOT)
    try:
        running.wait_for("IPv4:")
        inode = str(namespaces.inode(Lab(NAME).namespace("gateway"))[1])
        running.send(signal.SIGTERM)
        assert running.wait() == 143
    finally:
        running.stop()
    left = set(Path("/run/gtunnel").glob("*")) - before
    assert [path.name for path in left if inode in path.name] == []


@pytest.mark.root
def test_a_lab_that_cannot_be_removed_is_not_said_to_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise CommandFailedError(command="ip", reason="no")

    def interrupt(say: Callable[[str], None], *_: object) -> None:
        monkeypatch.setattr(namespaces, "delete", fail)
        os.kill(os.getpid(), signal.SIGINT)
        say("")

    monkeypatch.setattr(gateway, "show", interrupt)
    try:
        assert call() == 1
        told = capsys.readouterr().err
        assert f"gtunnel lab down --name {NAME}" in told
        assert "Everything" not in told
    finally:
        monkeypatch.undo()
        Lab(NAME).down()


@pytest.mark.root
def test_a_signal_does_not_interrupt_a_step_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finished: list[str] = []

    def step(say: Callable[[str], None], *_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        finished.append("the step")
        say("")
        finished.append("the next")

    monkeypatch.setattr(gateway, "show", step)
    assert call() == 130
    assert finished == ["the step"]
    assert "Interrupted. Everything is removed." in capsys.readouterr().err
    assert Lab(NAME).status().absent


@pytest.mark.parametrize(
    ("path", "reason"), [("file", "is there, and is no directory"), ("file/below", "Not a directory")]
)
def test_a_directory_that_cannot_be_made_gets_one_line(
    tmp_path: Path, path: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert call("--keep", str(tmp_path / path)) == 1
    assert capsys.readouterr().err == f"\ngtunnel demo: {tmp_path / path}: {reason}\n"


@pytest.mark.parametrize("path", ["/proc", "/proc/x"])
def test_a_directory_that_takes_no_files_gets_one_line(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--keep", path) == 1
    assert capsys.readouterr().err.startswith("\ngtunnel demo: /proc/")


def test_a_full_disk_behind_standard_output_gets_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        argv = [sys.executable, "-c", SCRIPT, "demo", "--name", NAME]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr == "\ngtunnel demo: standard output: No space left on device\n"


@pytest.mark.root
def test_a_demonstration_beside_another_one_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with Lab(NAME):
        assert call() == 1
    told = capsys.readouterr().err
    assert f"lab {NAME} is up already" in told
    assert "Another demonstration may be running" in told
    assert f"gtunnel lab down --name {NAME}\n" in told
