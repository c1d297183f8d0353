from pathlib import Path

import pytest

from gtunnel.conf.settings import ProgramSettings
from gtunnel.net.launch import Launch, base_environment, refusal


def test_programs_get_our_environment_but_not_what_systemd_says_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("LISTEN_FDS", "1")
    found = base_environment({"OURS": "2", "MORE": "3"})
    assert (found["OURS"], found["MORE"]) == ("2", "3")
    assert "NOTIFY_SOCKET" not in found
    assert "LISTEN_FDS" not in found


def test_what_cannot_be_run_is_known_before(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("x")
    assert refusal(Path("/bin/sh")) is None
    assert refusal(tmp_path / "none") == "there is no such program"
    assert refusal(tmp_path) == "this is no program that can be run"
    text.chmod(0o644)
    assert refusal(text) == "this is no program that can be run"


def test_a_library_is_preloaded_beside_others() -> None:
    settings = ProgramSettings(path="/bin/cat", arguments=("cat",))
    assert "LD_PRELOAD" not in Launch(settings=settings).variables({})
    ours = Launch(settings=settings, environment={"A": "1"}, preload="/ours.so")
    assert ours.variables({"B": "2"}) == {"A": "1", "B": "2", "LD_PRELOAD": "/ours.so"}
    both = Launch(settings=settings, environment={"LD_PRELOAD": "/theirs.so"}, preload="/ours.so")
    assert both.variables({})["LD_PRELOAD"] == "/ours.so:/theirs.so"
