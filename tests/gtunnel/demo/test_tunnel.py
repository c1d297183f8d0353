"""The first part: what it says is what happened."""

import re
from pathlib import Path

import pytest

from gtunnel.demo import program, tunnel
from gtunnel.demo.errors import DemoError


def test_it_shows_a_real_exchange(tmp_path: Path) -> None:
    said: list[str] = []
    file = tunnel.show(said.append, tmp_path)
    told = "\n".join(said)
    assert re.search(r"TLSv1\.3, TLS_", told)
    assert re.search(r"\[client\] +127\.0\.0\.1:\d+ ", told)
    assert "answered 200 OK" in told
    log = (tmp_path / "tunnel.log").read_text()
    assert "Traceback" not in log
    assert "TLS connected: new session negotiated" in log
    assert "TLS accepted: new session negotiated" in log
    assert file.parent == tmp_path


def test_a_gtunnel_that_does_not_start_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "GTUNNEL", ("sh", "-c", "echo cannot; exit 1"))
    with pytest.raises(DemoError, match="cannot"):
        tunnel.show(lambda _: None, tmp_path)


def test_a_tunnel_that_lets_nothing_through_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "GTUNNEL", ("sh", "-c", f"echo {program.ACCEPTING}; exec sleep 100"))
    with pytest.raises(DemoError, match="Nothing came through the tunnel"):
        tunnel.show(lambda _: None, tmp_path)
