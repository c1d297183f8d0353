"""The Python client of redis is there, or is not, and that is all."""

import sys

import pytest

from gtunnel.net import redisclient


def test_it_is_there() -> None:
    found = redisclient.module()
    assert found is not None
    assert hasattr(found, "Redis")


def test_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    assert redisclient.module() is None
