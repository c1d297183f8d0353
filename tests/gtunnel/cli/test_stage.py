"""What a demonstration stands on: one line for a failure, no file left, signals between lines."""

import os
import signal
from pathlib import Path

import pytest

from gtunnel.cli import stage
from gtunnel.demo.errors import DemoError, DirectoryError, LabTakenError
from netsetup.lab import Interrupted, Lab


def failing(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (DemoError(what="It failed.", log="    why"), "\nprogram: It failed.\n    why\n"),
        (
            FileNotFoundError(2, "No such file or directory", "/nowhere"),
            "\nprogram: /nowhere: No such file or directory\n",
        ),
        (OSError(28, "No space left on device"), "\nprogram: No space left on device\n"),
    ],
    ids=["ours", "a file", "the system"],
)
def test_a_failure_is_a_line_and_status_1(error: BaseException, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.perform("program", lambda: failing(error)) == 1
    assert capsys.readouterr().err == told


def test_what_is_interrupted_says_what_it_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.perform("program", lambda: failing(Interrupted(signal.SIGTERM)), Path("kept")) == 143
    assert capsys.readouterr().err == "\nTerminated. Everything is removed, but for what is in kept.\n"


def test_all_well_is_status_0() -> None:
    assert stage.perform("program", lambda: None) == 0


def test_a_signal_waits_for_the_next_line_and_the_directory_goes(capsys: pytest.CaptureFixture[str]) -> None:
    reached: list[Path] = []

    def show() -> None:
        with stage.stage() as (say, directory):
            os.kill(os.getpid(), signal.SIGINT)
            # Still here: it waits.
            reached.append(directory)
            say("never said")

    with pytest.raises(Interrupted):
        show()
    assert not reached[0].exists()
    assert capsys.readouterr().out == ""


def test_a_directory_to_keep_is_kept(tmp_path: Path) -> None:
    with stage.stage(tmp_path / "kept") as (_, directory):
        (directory / "file").touch()
    assert (tmp_path / "kept" / "file").exists()
    with pytest.raises(DirectoryError, match="is there, and is no directory"), stage.stage(tmp_path / "kept" / "file"):
        pass


@pytest.mark.root
def test_a_lab_that_is_there_is_not_touched() -> None:
    with Lab(f"test-stage-{os.getpid()}") as lab:
        with pytest.raises(LabTakenError, match=f"lab down --name {lab.name}"), stage.own_lab(lab.name):
            pass
        assert lab.status().up
