"""Problems of a context are told together, and with the option that they concern."""

from functools import partial
from pathlib import Path

import pytest

from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.setup import read_file, take_all


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
