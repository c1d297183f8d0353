"""Where log lines go: the form that filters match, and that no sink's failure is anybody else's."""

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.conf.settings import Foreground, LogMode, LogOutput, LogSettings
from gtunnel.daemon.linefile import LogFileError
from gtunnel.daemon.log import (
    MAX_LINE,
    DescriptorSink,
    FileSink,
    Journal,
    JournalLog,
    StartupLog,
    open_journal,
    printable,
    truncate,
)
from gtunnel.events import Level
from tests.gtunnel.daemon.watching import descriptors


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the log goes."""
    return tmp_path / "log"


def opened(file: Path, mode: LogMode = LogMode.APPEND, level: Level = Level.NOTICE) -> tuple[Journal, JournalLog]:
    """A journal that writes to a file, and a log on it."""
    journal = Journal([FileSink(str(file), mode)])
    return journal, JournalLog(journal, level)


def test_a_line_has_date_time_level_and_identifier(file: Path) -> None:
    journal, log = opened(file)
    log.write(Level.NOTICE, "Configuration successful")
    log.named("17").write(Level.ERR, "s_connect: connect 127.0.0.1:1: Connection refused (111)")
    journal.close()
    first, second = file.read_text().splitlines()
    assert re.fullmatch(r"\d{4}\.\d\d\.\d\d \d\d:\d\d:\d\d LOG5\[ui\]: Configuration successful", first)
    assert second.endswith(" LOG3[17]: s_connect: connect 127.0.0.1:1: Connection refused (111)")


@pytest.mark.parametrize("threshold", Level)
def test_only_what_is_urgent_enough_is_written(file: Path, threshold: Level) -> None:
    journal, log = opened(file, level=threshold)
    for level in Level:
        log.write(level, level.name)
    journal.close()
    assert [line.split(": ")[1] for line in file.read_text().splitlines()] == [
        other.name for other in Level if other <= threshold
    ]


def test_all_sinks_get_a_line_and_share_its_text(file: Path) -> None:
    receive, send = os.pipe()
    with os.fdopen(receive) as reading, os.fdopen(send, "w"):
        journal = Journal([FileSink(str(file), LogMode.APPEND), DescriptorSink(send)])
        journal.write(Level.INFO, "ui", "hello")
        assert reading.readline().endswith(" LOG6[ui]: hello\n")
        journal.close()
    assert file.read_text().endswith(" LOG6[ui]: hello\n")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x\n2026.01.01 00:00:00 LOG5[0]: forged", r"x\n2026.01.01 00:00:00 LOG5[0]: forged"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\rb\tc\x00d", r"a\rb\tc\x00d"),
        ("\u2028\u202e\x85\xa0", r"\u2028\u202e\x85\xa0"),
        ("\udcff", r"\udcff"),
        ("Zażółć 漢字", "Zażółć 漢字"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_what_could_forge_a_line_or_drive_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(text=st.text(max_size=300))
def test_every_text_is_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert len(shown.encode().splitlines()) == bool(shown)


@pytest.mark.parametrize("character", ["x", "é", "漢", "\U0001f600", "\n"])
def test_a_long_line_is_cut_where_a_pipe_s_write_is_still_atomic(character: str) -> None:
    shown = printable(character * 10_000)
    assert shown.endswith("...")
    assert len(f"2026.01.01 00:00:00 LOG5[{'f' * 22}]: {shown}\n".encode()) <= 4096
    assert len(shown.encode()) > MAX_LINE - 10


def test_a_file_is_appended_to(file: Path) -> None:
    file.write_text("before\n")
    journal, log = opened(file)
    log.write(Level.NOTICE, "after")
    journal.close()
    assert [line.split(": ")[-1] for line in file.read_text().splitlines()] == ["before", "after"]


def test_a_file_is_emptied_by_overwrite(file: Path) -> None:
    file.write_text("before\n")
    journal, log = opened(file, LogMode.OVERWRITE)
    log.write(Level.NOTICE, "after")
    journal.close()
    assert "before" not in file.read_text()


def test_a_new_file_is_not_for_everybody(file: Path) -> None:
    old = os.umask(0)
    try:
        opened(file)[0].close()
    finally:
        os.umask(old)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_after_a_rotation_lines_go_to_the_new_file(file: Path) -> None:
    journal, log = opened(file)
    log.write(Level.NOTICE, "one")
    rotated = file.rename(file.with_suffix(".1"))
    log.write(Level.NOTICE, "two")
    journal.reopen()
    log.write(Level.NOTICE, "three")
    journal.close()
    assert [line.split(": ")[-1] for line in rotated.read_text().splitlines()] == ["one", "two"]
    assert [line.split(": ")[-1] for line in file.read_text().splitlines()] == ["three"]


def test_reopening_does_not_empty_even_with_overwrite(file: Path) -> None:
    journal, log = opened(file, LogMode.OVERWRITE)
    log.write(Level.NOTICE, "another process wrote this meanwhile")
    journal.reopen()
    journal.close()
    assert "meanwhile" in file.read_text()
    truncate(str(file))
    assert file.read_text() == ""


def test_where_reopening_fails_lines_go_to_the_old_file(tmp_path: Path) -> None:
    directory = tmp_path / "logs"
    directory.mkdir()
    journal, log = opened(directory / "log")
    moved = directory.rename(tmp_path / "moved")
    with pytest.raises(LogFileError, match=r"Cannot open log file .*/logs/log: No such file or directory \(2\)"):
        journal.reopen()
    log.write(Level.NOTICE, "still here")
    journal.close()
    assert "still here" in (moved / "log").read_text()


@pytest.mark.parametrize("file", ["/", "/nowhere/log", "/proc/none"])
def test_a_file_that_cannot_be_opened_is_named(file: str) -> None:
    with pytest.raises(LogFileError, match=f"Cannot open log file {file}: "):
        FileSink(file, LogMode.APPEND)


def test_a_full_disk_loses_the_line_only() -> None:
    sink = FileSink("/dev/full", LogMode.OVERWRITE)
    sink.write(Level.EMERG, "LOG0[ui]: lost")
    sink.close()


def test_a_closed_standard_error_loses_the_line_only() -> None:
    receive, send = os.pipe()
    os.close(receive)
    DescriptorSink(send).write(Level.EMERG, "LOG0[ui]: lost")
    os.close(send)
    DescriptorSink(send).write(Level.EMERG, "LOG0[ui]: lost")


def test_one_journal_becomes_another_and_its_files_are_closed(tmp_path: Path) -> None:
    journal, log = opened(tmp_path / "old")
    before = descriptors()
    journal.become(Journal([FileSink(str(tmp_path / "new"), LogMode.APPEND)]))
    assert descriptors() == before
    log.write(Level.NOTICE, "hello")
    journal.close()
    log.write(Level.NOTICE, "nobody reads this")
    assert (tmp_path / "old").read_text() == ""
    assert (tmp_path / "new").read_text().count("\n") == 1
    assert descriptors() == before - 1


def test_a_sink_that_stays_is_not_closed(file: Path) -> None:
    journal, log = opened(file)
    journal.become(Journal(journal.sinks))
    log.write(Level.NOTICE, "hello")
    journal.close()
    assert "hello" in file.read_text()


def test_descriptors_are_not_for_programs_that_are_run(file: Path) -> None:
    journal, _ = opened(file)
    journal.reopen()
    ours = [fd for fd in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{fd}") == str(file)]  # noqa: PTH208
    assert [os.get_inheritable(int(fd)) for fd in ours] == [False]
    journal.close()


def test_the_configuration_says_which_sinks_there_are(file: Path) -> None:
    settings = LogSettings(level=Level.INFO, facility="daemon")
    output = LogOutput(file=str(file), mode=LogMode.APPEND, syslog=True, ident="x", foreground=Foreground.NO)
    journal = open_journal(output, settings)
    assert [type(sink).__name__ for sink in journal.sinks] == ["FileSink", "SyslogSink"]
    journal.reopen()
    journal.write(Level.NOTICE, "ui", "to both, whether or not a system logger is there")
    journal.close()
    assert "to both" in file.read_text()


def test_what_happens_before_there_is_a_log_is_kept_in_order(file: Path) -> None:
    early = StartupLog()
    early.write(Level.DEBUG, "first")
    early.named("x").write(Level.ERR, "second\nforged")
    journal, log = opened(file)
    early.replay(log)
    early.replay(log)
    journal.close()
    assert [line.split(" ", 2)[2] for line in file.read_text().splitlines()] == [r"LOG3[ui]: second\nforged"]


def test_what_happens_before_there_is_a_log_can_be_shown_as_stunnel_does() -> None:
    early = StartupLog()
    for level in (Level.CRIT, Level.ERR, Level.WARNING, Level.NOTICE, Level.INFO):
        early.write(level, f"{level.name.lower()}\n")
    assert early.short(Level.INFO) == [r"[!] crit\n", r"[!] err\n", r"[:] warning\n", r"[.] notice\n", r"[ ] info\n"]
    assert early.short(Level.ERR) == [r"[!] crit\n", r"[!] err\n"]
