"""Which configuration a command means."""

import os
from pathlib import Path

import pytest

from gtunnel.cli import source
from gtunnel.conf.errors import ConfigError
from gtunnel.errors import UsageError

TEXT = "[x]\nclient = yes\naccept = 1\nconnect = 2\n"


@pytest.fixture
def defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The two default files, somewhere else, and not there yet."""
    files = tmp_path / "gtunnel.conf", tmp_path / "stunnel.conf"
    monkeypatch.setattr(source, "DEFAULT_FILES", tuple(map(str, files)))
    return files


def test_ours_is_the_default_then_stunnel_s(defaults: tuple[Path, Path]) -> None:
    ours, theirs = defaults
    with pytest.raises(UsageError, match=f"no configuration: give a FILE, or make {ours}"):
        source.from_file(None)
    theirs.write_text(TEXT)
    assert source.from_file(None).name == f"file {theirs}"
    ours.write_text(TEXT)
    assert source.from_file(None).name == f"file {ours}"


def test_a_directory_is_no_default(defaults: tuple[Path, Path]) -> None:
    defaults[0].mkdir()
    with pytest.raises(UsageError):
        source.from_file(None)


def test_a_relative_name_means_the_same_file_wherever_the_process_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.conf").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    chosen = source.from_file("x.conf")
    monkeypatch.chdir("/")
    assert chosen.load().file == str(tmp_path / "x.conf")


def test_it_is_read_anew_each_time(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text(TEXT)
    chosen = source.from_file(str(file))
    assert [service.name for service in chosen.load().services] == ["x"]
    file.write_text(TEXT.replace("[x]", "[y]"))
    assert [service.name for service in chosen.load().services] == ["y"]
    file.unlink()
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        chosen.load()


def opened(file: Path) -> int:
    """A descriptor of it."""
    return os.open(file, os.O_RDONLY)


def test_a_descriptor_is_read_again_from_its_start(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text(TEXT)
    number = opened(file)
    chosen = source.from_descriptor(str(number))
    os.close(number)
    assert chosen.name == f"descriptor {number}"
    assert chosen.load().services == chosen.load().services


def test_a_descriptor_is_kept_away_from_the_standard_ones(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text(TEXT)
    number = opened(file)
    saved = os.dup(0)
    os.close(0)
    try:
        chosen = source.from_descriptor(str(number))
        os.open("/dev/null", os.O_RDONLY)  # what the daemon puts in its place
        assert chosen.load().services
    finally:
        os.dup2(saved, 0)
        os.close(saved)
        os.close(number)


def test_a_pipe_is_empty_the_second_time() -> None:
    receive, send = os.pipe()
    os.write(send, TEXT.encode())
    os.close(send)
    chosen = source.from_descriptor(str(receive))
    os.close(receive)
    assert chosen.load().services
    with pytest.raises(ConfigError, match=f"descriptor {receive}: .*there is no"):
        chosen.load()


def test_a_problem_in_a_descriptor_has_the_number_that_was_given() -> None:
    receive, send = os.pipe()
    os.write(send, b"\n\nnonsense = 1\n")
    os.close(send)
    chosen = source.from_descriptor(f"0{receive}")
    os.close(receive)
    with pytest.raises(ConfigError, match=f'^descriptor {receive}:3: "nonsense = 1"'):
        chosen.load()


def test_a_default_that_we_may_not_look_for_is_taken_to_be_there(
    defaults: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", denied)
    assert source.from_file(None).name == f"file {defaults[0]}"
