"""`gtunnel lab demo` as somebody at a terminal sees it, and that it leaves nothing."""

import argparse
import os
import signal
from pathlib import Path

import pytest

from gtunnel.cli import lab as command
from gtunnel.demo import modes
from netsetup.lab import Lab
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, ROOT

NAME = f"test-labdemo-{os.getpid()}"


def call(*arguments: str) -> int:
    """Run the command in this process and return the exit status."""
    parser = argparse.ArgumentParser(prog="gtunnel")
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["lab", "demo", "--name", NAME, *arguments])
    return int(args.func(args))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it makes its files: to see that it leaves none."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr("tempfile.tempdir", None)
    return directory


@pytest.mark.root
def test_a_mode_is_shown_and_all_is_removed(capsys: pytest.CaptureFixture[str], temporary: Path) -> None:
    assert call("both", "--method", "redirect", "--backend", "nftables") == 0
    told = capsys.readouterr().out
    assert "REDIRECT" in told or "DNAT" in told
    assert told.count("the client's own address") == 2
    assert told.endswith("Everything is removed again.\n")
    assert Lab(NAME).status().absent
    assert list(temporary.iterdir()) == []


@pytest.mark.root
@pytest.mark.parametrize("line", ["gateway$ gtunnel netsetup apply", "IPv4:  client$"])
def test_ctrl_c_leaves_nothing(line: str, temporary: Path) -> None:
    running = Daemon([*GTUNNEL, "lab", "demo", "source", "--name", NAME], cwd=ROOT, env={"PYTHONUNBUFFERED": "1"})
    try:
        running.wait_for(line, timeout=60)
        running.send(signal.SIGINT)
        assert running.wait() == 130
        assert "Interrupted. Everything is removed." in running.output
    finally:
        running.stop()
    assert Lab(NAME).status().absent
    assert list(temporary.iterdir()) == []


def test_source_has_no_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("source", "--method", "tproxy") == 1
    assert "gtunnel lab demo: --method is for destination and both" in capsys.readouterr().err


def test_others_than_root_get_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call("both") == 1
    assert capsys.readouterr().err == "\ngtunnel lab demo: only root can make a lab\n"


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(modes, "find_program", lambda _: None)
    assert call("both") == 1
    assert capsys.readouterr().err == "\ngtunnel lab demo: not installed: ip, curl\n"


def test_a_mode_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("none")
    assert "invalid choice: 'none'" in capsys.readouterr().err
