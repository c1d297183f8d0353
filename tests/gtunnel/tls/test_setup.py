"""Problems of a context are told together, and with the option that they concern."""

import os
from functools import partial
from pathlib import Path

import pytest

from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.setup import MAX_FILE_BYTES, read_file, take_all


def _fail(option: str) -> None:
    raise TlsSetupError(option=option, value="it", reason="broken")


def test_all_steps_are_taken_and_all_problems_told() -> None:
    taken: list[int] = []
    with pytest.raises(TlsSetupError) as caught:
        take_all(partial(_fail, "cert"), partial(taken.append, 1), partial(_fail, "CAfile"))
    assert taken == [1]
    assert [problem.option for problem in caught.value.problems] == ["cert", "CAfile"]


def test_one_problem_is_raised_as_it_is() -> None:
    with pytest.raises(TlsSetupError, match=r"^cert = it: broken$"):
        take_all(partial(_fail, "cert"))


def test_a_file_that_cannot_be_read_is_told_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(TlsSetupError, match=r"^key = .*/none: No such file or directory$"):
        read_file("key", str(tmp_path / "none"))


def test_what_is_no_file_is_told_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "pipe", "Not a regular file"), (tmp_path, "Is a directory")):
        with pytest.raises(TlsSetupError, match=reason):
            read_file("cert", str(path))
    with pytest.raises(TlsSetupError, match="Not a regular file"):
        read_file("cert", "/dev/zero")


def test_a_file_that_is_too_large_is_told(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as large:
        large.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(TlsSetupError, match="larger than 64 MiB"):
        read_file("CAfile", str(tmp_path / "large"))
