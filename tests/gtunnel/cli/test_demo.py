"""`gtunnel demo` as somebody at a terminal sees it, and what is left when it is interrupted."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.cli import demo as command
from gtunnel.demo import tunnel
from netsetup.lab import Lab
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
def test_a_demonstration_beside_another_one_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with Lab(NAME):
        assert call() == 1
    assert f"lab {NAME} is up already" in capsys.readouterr().err
