"""Files of whole lines: what several processes write does not mix, and a full disk spoils one line only."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.daemon.linefile import LineFile, LogFileError
from tests.support.tunnels import ROOT


def test_a_line_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("before\n")
    file = LineFile(str(path))
    file.append("one")
    file.append("\N{SNOWMAN} \udcff")
    file.close()
    assert path.read_text() == "before\none\n\N{SNOWMAN} \\udcff\n"


def test_it_is_made_for_its_owner_and_group(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        LineFile(str(tmp_path / "lines")).close()
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "lines").stat().st_mode) == 0o640


def test_after_a_rotation_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = LineFile(str(path))
    file.append("one")
    path.rename(tmp_path / "old")
    file.append("two")
    file.reopen()
    file.append("three")
    file.close()
    assert (tmp_path / "old").read_text() == "one\ntwo\n"
    assert path.read_text() == "three\n"


def test_what_cannot_be_opened_again_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "there" / "lines"
    path.parent.mkdir()
    file = LineFile(str(path))
    path.parent.rename(tmp_path / "gone")
    with pytest.raises(LogFileError, match=r"Cannot open log file .*: No such file or directory"):
        file.reopen()
    file.append("one")
    file.close()
    assert (tmp_path / "gone" / "lines").read_text() == "one\n"


def test_half_a_line_is_not_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    file = LineFile(str(path))
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    file.append("full disk")
    monkeypatch.undo()
    file.append("next")
    file.append("more")
    file.close()
    assert path.read_text() == "ful\nnext\nmore\n"


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    script = f"""
import sys
from gtunnel.daemon.linefile import LineFile
file = LineFile({str(path)!r})
for number in range(300):
    file.append(sys.argv[1] * 5000)
"""
    argv = [sys.executable, "-c", script]
    writers = [subprocess.Popen([*argv, letter], cwd=ROOT) for letter in "abc"]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = path.read_text().splitlines()
    assert sorted(lines) == sorted(letter * 5000 for letter in "abc" for _ in range(300))
