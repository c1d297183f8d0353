"""`gtunnel run`: the same as `gtunnel FILE`."""

from pathlib import Path

import pytest

from tests.gtunnel.cli.commands import ask, good, program
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT


def test_it_runs_a_configuration_until_it_is_stopped(pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path, "debug = 6\n")
    with Daemon([*GTUNNEL, "run", file], env=GTUNNEL_ENVIRONMENT) as running:
        running.wait_for("Configuration successful")
        assert running.stop() == 0
        assert "Terminated" in running.output


def test_it_fails_as_the_classic_command_does(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("nonsense = 1\n")
    assert program("run", file) == program(file)
    assert program("run", file).status == 1


def test_rules_need_a_daemon_to_live_with(tmp_path: Path) -> None:
    file = tmp_path / "inetd.conf"
    file.write_text("client = yes\nconnect = 127.0.0.1:9\n")
    found = program("run", "--netsetup", file)
    assert found.status == 1
    assert found.err.splitlines()[-1] == "[!] --netsetup: inetd mode has no daemon for the rules to live with"


def test_its_help_names_the_signals(capsys: pytest.CaptureFixture[str]) -> None:
    out = ask(capsys, "run", "--help").out
    assert all(word in out for word in ("HUP", "USR1", "USR2", "TERM"))
