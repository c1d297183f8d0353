import os
from pathlib import Path

import pytest

from gtunnel.conf import sources
from gtunnel.conf.sources import MAX_FILE_BYTES, SourceError, files_in, identity, read_descriptor, read_file


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 200_000)
    assert read_file(str(path)) == b"x" * 200_000


@pytest.mark.parametrize("path", ["/nonexistent", "/", "", "a\0b", "x" * 5000])
def test_what_cannot_be_read_is_one_error(path: str) -> None:
    with pytest.raises(SourceError):
        read_file(path)


def test_an_endless_file_ends(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="longer than"):
        read_file("/dev/zero")
    path = tmp_path / "f"
    path.write_bytes(b"\n" * MAX_FILE_BYTES)
    assert len(read_file(str(path))) == MAX_FILE_BYTES


def test_a_descriptor_is_read_to_its_end_and_stays_open() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a = b\n")
    os.close(writing)
    assert read_descriptor(reading) == b"a = b\n"
    os.close(reading)


@pytest.mark.parametrize("descriptor", [-1, 999_999, 2**40])
def test_what_is_no_descriptor_is_one_error(descriptor: int) -> None:
    with pytest.raises(SourceError):
        read_descriptor(descriptor)


def test_files_come_in_the_order_of_their_names_bytes(tmp_path: Path) -> None:
    for name in ("b", "B", "a~", ".h", "10", "9", "é"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "b")
    os.mkfifo(tmp_path / "fifo")
    assert [Path(file).name for file in files_in(str(tmp_path))] == [".h", "10", "9", "B", "a~", "b", "link", "é"]


def test_a_directory_has_one_identity(tmp_path: Path) -> None:
    assert identity(str(tmp_path)) == identity(f"{tmp_path}/../{tmp_path.name}")
    with pytest.raises(SourceError):
        identity("/nonexistent")
    with pytest.raises(SourceError):
        files_in("/etc/passwd")


def test_reasons_are_the_kernels_words() -> None:
    assert sources.reason(FileNotFoundError(2, "No such file or directory", "/x")) == "No such file or directory"
    assert sources.reason(ValueError("embedded null byte")) == "embedded null byte"
