"""The lab's errors are told to people: each says what happened, with the names filled in."""

import pickle

import pytest

from netsetup.errors import NetsetupError
from netsetup.lab import LabError, errors


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NotRootError(), "the lab needs root: it makes network namespaces"),
        (errors.NoLabError(name="x"), "lab x is not up"),
        (errors.UnknownHostError(host="h", known="a, b"), "the lab has no host 'h': the hosts are a, b"),
        (errors.CommandFailedError(command="ip link", reason="no"), "`ip link` failed: no"),
    ],
)
def test_an_error_fills_its_template(error: LabError, text: str) -> None:
    assert str(error) == text
    assert isinstance(error, NetsetupError)


def test_fields_are_kept_for_callers() -> None:
    error = errors.LabIncompleteError(name="x", present="x-client")
    assert error.fields == {"name": "x", "present": "x-client"}
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 - our own
