import io
import json
import os
from dataclasses import asdict

import pytest

from netsetup.doctor.probe import child
from netsetup.doctor.probe.wires import WiringError
from tests.netsetup.doctor.probe.test_wires import ATTEMPT


def test_what_cannot_be_wired_is_a_reason(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(attempt: object) -> None:
        assert attempt == ATTEMPT
        raise WiringError("no wires")

    monkeypatch.setattr(child, "in_use", lambda *_: False)
    monkeypatch.setattr(child, "Wires", refuse)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(asdict(ATTEMPT))))
    monkeypatch.setattr("os.getppid", lambda: 7)
    monkeypatch.setattr("ctypes.CDLL", lambda _: _Nothing())
    assert child.main(["7"]) == 0
    assert json.loads(capsys.readouterr().out) == {"reason": "no wires"}


def test_an_orphan_does_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: _Nothing())
    assert child.main(["1"] if os.getppid() != 1 else ["2"]) == 1
    assert capsys.readouterr().out == ""


class _Nothing:
    def prctl(self, *_: int) -> int:
        """The tests' own process does not want to die with its parent."""
        return 0
