"""Programs of a demonstration: waited for, ended, and quoted when they fail."""

import subprocess
from pathlib import Path

import pytest

from gtunnel.demo import program
from gtunnel.demo.errors import DemoError
from gtunnel.demo.program import Running, finish, tail


def test_a_line_is_waited_for_and_the_program_ended(tmp_path: Path) -> None:
    with Running("it", ["sh", "-c", "echo one; sleep 0.1; echo two; exec sleep 100"], tmp_path / "log") as running:
        assert running.wait_for("tw") == "two"
        assert running.lines == ["one", "two"]


def test_a_program_that_ends_too_early_is_quoted(tmp_path: Path) -> None:
    with Running("it", ["sh", "-c", "echo because; exit 1"], tmp_path / "log") as running:
        with pytest.raises(DemoError, match="it ended too early") as caught:
            running.wait_for("never")
        assert "    because" in str(caught.value)


def test_a_program_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "START_PATIENCE", 0.1)
    with Running("it", ["sleep", "100"], tmp_path / "log") as running, pytest.raises(DemoError, match="did not say"):
        running.wait_for("never")


def test_a_program_that_does_not_listen_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "STOP_PATIENCE", 0.1)
    with Running("it", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"], tmp_path / "log") as running:
        running.wait_for("up")
    running.stop()


def test_a_program_that_fails_is_quoted() -> None:
    assert finish("it", ["echo", "fine"], subprocess.run) == "fine\n"
    with pytest.raises(DemoError, match="it failed with exit status 3:\n    why"):
        finish("it", ["sh", "-c", "echo why; exit 3"], subprocess.run)


def test_a_function_of_this_gtunnel_runs_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "gtunnel.py").write_text("raise SystemExit('another one')")
    done = subprocess.run(
        [*program.python("gtunnel.demo.web", "main"), "--help"], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_only_the_end_of_a_long_log_is_shown() -> None:
    assert tail([str(number) for number in range(100)]).split() == [str(number) for number in range(85, 100)]
