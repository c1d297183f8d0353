"""What a start tells, and whom."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.conf.errors import ConfigError
from gtunnel.conf.load import parse_text
from gtunnel.daemon.log import StartupLog
from gtunnel.daemon.telling import banner, complain, error_is_connection, load_told
from gtunnel.errors import GtunnelError
from gtunnel.events import Level
from tests.gtunnel.logs import ListLog
from tests.support.tunnels import GTUNNEL_ENVIRONMENT

ASK = "from gtunnel.daemon.telling import error_is_connection as f; import os; os.write(1, str(f()).encode())"


def test_the_banner_names_us_and_openssl() -> None:
    log = ListLog()
    banner(log)
    assert log.texts[0].startswith("gtunnel ")
    assert log.texts[1].startswith("Running  with OpenSSL")


def test_problems_are_told_each_in_a_line() -> None:
    log = ListLog(Level.ERR)
    with pytest.raises(ConfigError):
        load_told(lambda: parse_text("x = 1\ny = 2\n", "t.conf"), "file t.conf", log)
    assert len(log.texts) == 3
    assert log.texts[-1] == "Configuration failed"


def test_notes_and_advice_are_told() -> None:
    log = ListLog()
    text = "taskbar = yes\n[c]\nclient = yes\naccept = 1\nconnect = 2\n"
    assert load_told(lambda: parse_text(text), "file t.conf", log).services
    assert any("'taskbar' is ignored" in line for line in log.texts)
    assert any(level is Level.WARNING for level, _ in log.lines)


def test_who_failed_says_why_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    log = StartupLog()
    log.write(Level.ERR, "first")
    assert complain(log, GtunnelError(detail="second")) == 1
    assert capsys.readouterr().err == "[!] first\n[!] second\n"
    assert not error_is_connection()


def test_the_connection_is_told_apart(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, (tmp_path / "log").open("w") as log:
        for error, expected in ((theirs.fileno(), b"True"), (log.fileno(), b"False")):
            command, near = [sys.executable, "-c", ASK], theirs.fileno()
            subprocess.run(command, stdin=near, stdout=near, stderr=error, check=True, env=GTUNNEL_ENVIRONMENT)
            assert ours.recv(100) == expected
