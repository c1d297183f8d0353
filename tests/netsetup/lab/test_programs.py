"""Programs of the administrator are found, whoever became root how."""

import os
from pathlib import Path

import pytest

from netsetup.lab import programs


def test_the_administrator_s_directories_come_behind_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/sbin")
    assert programs.search_path() == "/usr/bin:/sbin:/usr/sbin"


def test_a_program_there_is_found_without_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text("")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert programs.find_program("program") is None
    monkeypatch.setattr(programs, "ADMINISTRATOR", (str(tmp_path),))
    assert programs.find_program("program") == str(program)


def test_no_path_at_all_is_the_system_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PATH")
    assert programs.search_path().startswith(os.defpath)
