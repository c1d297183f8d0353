"""Files that change: noticed once, when they have settled."""

import os
from pathlib import Path

import pytest

from gtunnel.conf.load import parse_text
from gtunnel.daemon.hotfiles import INTERVAL_SECONDS, Watch, watching


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.pem"
    path.write_text("one")
    return path


def look(watch: Watch) -> tuple[str, ...]:
    """Look, as if it were time."""
    watch.due = 0.0
    return watch.changed()


def test_a_change_is_told_once_when_it_has_settled(file: Path) -> None:
    watch = Watch([str(file)])
    assert look(watch) == ()
    file.write_text("two!")
    assert look(watch) == ()
    assert look(watch) == (str(file),)
    assert look(watch) == ()


def test_files_that_go_on_changing_have_not_settled(file: Path) -> None:
    watch = Watch([str(file)])
    for number in range(4):
        file.write_text("x" * (10 + number))
        assert look(watch) == ()
    assert look(watch) == (str(file),)


def test_it_looks_only_now_and_then(file: Path) -> None:
    watch = Watch([str(file)])
    due = watch.due
    file.write_text("two!")
    assert watch.changed() == ()
    assert watch.due == due
    look(watch)
    assert watch.due >= due - INTERVAL_SECONDS


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    # As Kubernetes does: certificate -> ..data/certificate, ..data -> ..one
    for name in ("..one", "..two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_text("same")
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "tls.crt").symlink_to("..data/tls.crt")
    watch = Watch([str(tmp_path / "tls.crt")])
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert (look(watch), look(watch)) == ((), (str(tmp_path / "tls.crt"),))


def test_in_a_directory_every_file_counts(tmp_path: Path) -> None:
    (tmp_path / "1234.0").write_text("one")
    (tmp_path / "lost").symlink_to("nowhere")
    watch = Watch([str(tmp_path)])
    assert (look(watch), look(watch)) == ((), ())
    (tmp_path / "1234.0").write_text("two!")
    assert (look(watch), look(watch)) == ((), (str(tmp_path),))
    (tmp_path / "1234.r0").write_text("list")
    assert (look(watch), look(watch)) == ((), (str(tmp_path),))


def test_a_file_may_go_and_come_back(file: Path) -> None:
    watch = Watch([str(file)])
    file.unlink()
    assert (look(watch), look(watch)) == ((), (str(file),))
    assert watch.unreadable() == (str(file),)
    file.write_text("one")
    assert (look(watch), look(watch)) == ((), (str(file),))
    assert watch.unreadable() == ()


def test_permissions_do_not_matter_for_looking(file: Path) -> None:
    watch = Watch([str(file)])
    os.utime(file, ns=(1, 1))
    assert (look(watch), look(watch)) == ((), (str(file),))


def test_only_who_asks_for_it_is_watched_for() -> None:
    text = "[x]\naccept = 1\nconnect = 2\ncert = /c\n"
    assert watching(parse_text(text)) is None
    watch = watching(parse_text(f"reloadCerts = yes\n{text}[y]\naccept = 3\nconnect = 4\ncert = /c\nkey = /k\n"))
    assert watch is not None
    assert watch.files == ("/c", "/k")
