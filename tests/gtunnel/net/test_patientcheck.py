from time import monotonic

import gevent
import pytest

from gtunnel.net import patientcheck


def test_a_wrong_password_costs_time_and_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patientcheck, "FAILURE_SECONDS", 0.2)
    turns: list[int] = []
    other = gevent.spawn(turns.append, 1)
    began = monotonic()
    assert not patientcheck.check(lambda name, password: name == password, b"a", b"b")
    assert monotonic() - began >= 0.2
    assert turns
    other.join()


def test_a_right_one_is_right() -> None:
    assert patientcheck.check(lambda name, password: name == password, b"a", b"a")
