"""stunnel's own command line: what it answers, where, and with which status."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from gtunnel.conf.table import TABLE
from tests.gtunnel.cli.commands import ask, good, program
from tests.support import needs
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT

Capture = pytest.CaptureFixture[str]
QUESTIONS = ("-help", "-version", "-sockets", "-options")


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_are_answered_on_standard_error_with_status_0(capsys: Capture, question: str) -> None:
    answer = ask(capsys, question)
    assert (answer.status, answer.out) == (0, "")
    lines = answer.err.splitlines()
    assert re.fullmatch(r"gtunnel \S+ on \S+-linux platform", lines[0])
    assert re.fullmatch(r"Running  with OpenSSL \S+ .*", lines[1])
    assert len(lines) > 5


def test_help_names_every_option(capsys: Capture) -> None:
    names = {line.split()[0] for line in ask(capsys, "-help").err.splitlines() if "=" in line}
    assert {row.name for row in TABLE} <= names


@pytest.mark.parametrize(
    "line",
    [
        "ciphers                = HIGH:!aNULL:!SSLv2:!DH:!kDHEPSK",
        "options                = NO_SSLv3",
        "TIMEOUTidle            = 43200",
        "securityLevel          = 2",
    ],
)
def test_version_shows_defaults_as_stunnel_does(capsys: Capture, line: str) -> None:
    assert line in ask(capsys, "-version").err


def test_version_shows_what_this_machine_s_openssl_can_do(capsys: Capture) -> None:
    lines = ask(capsys, "-version").err.splitlines()
    assert "Features of this machine:" in lines
    assert any(re.fullmatch(r"engines +(yes|no)", line) for line in lines)


def test_sockets_has_stunnel_s_table(capsys: Capture) -> None:
    lines = ask(capsys, "-sockets").err.splitlines()
    assert "    Option Name         |  Accept  |  Local   |  Remote  |OS default" in lines
    row = next(line for line in lines if "TCP_NODELAY" in line)
    assert [cell.strip() for cell in row.split("|")] == ["TCP_NODELAY", "--", "yes", "yes", "no"]


def test_options_can_be_used_as_they_are_listed(capsys: Capture) -> None:
    lines = ask(capsys, "-options").err.splitlines()
    assert "Supported TLS options:" in lines
    assert "options = NO_TLSv1_2" in lines


@pytest.mark.parametrize("question", QUESTIONS)
def test_stunnel_answers_in_the_same_place_with_the_same_status(question: str) -> None:
    done = subprocess.run([needs.program("stunnel4"), question], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-nonsense"], 'Invalid configuration file name "-nonsense"'),
        (["-"], 'Invalid configuration file name "-"'),
        (["-fd"], "-fd needs the number of a file descriptor"),
        (["-fd", "x"], "-fd x: not the number of a file descriptor"),
        (["-fd", "-1"], "-fd -1: not the number of a file descriptor"),
        (["-fd", "²"], "-fd ²: not the number of a file descriptor"),
        (["-fd", "999"], "-fd 999: Bad file descriptor"),
        (["-fd", "9" * 30], f"-fd {'9' * 30}: Bad file descriptor"),
        (["-fd", "9" * 5000], ": Bad file descriptor"),
        (["-fd", "0", "x"], "too many arguments: x"),
        (["a.conf", "b.conf", "c.conf"], "too many arguments: b.conf c.conf"),
        (["-help", "x"], "too many arguments: x"),
    ],
)
def test_what_makes_no_sense_is_status_1(capsys: Capture, arguments: list[str], reason: str) -> None:
    answer = ask(capsys, *arguments)
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("[!] ")
    assert reason in answer.err
    assert answer.err.count("\n") == 1


def test_a_file_that_is_not_there_is_status_1_and_named() -> None:
    answer = program("/no/such.conf")
    assert (answer.status, answer.out) == (1, "")
    assert "[!] /no/such.conf: cannot read the configuration: No such file or directory\n" in answer.err


def test_a_configuration_from_a_descriptor_names_the_number_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / "x.conf"
    file.write_text("nonsense = 1\n")
    with file.open() as opened:
        number = opened.fileno()
        answer = program("-fd", number, pass_fds=[number])
    assert answer.status == 1
    assert f'[!] descriptor {number}:1: "nonsense = 1": Specified option name is not valid here' in answer.err


def test_a_configuration_from_a_pipe_runs(pki: Pki, tmp_path: Path) -> None:
    text = "debug = 6\n" + good(pki, tmp_path).read_text()
    argv = ["bash", "-c", 'printf %s "$1" | "${@:2}" -fd 0', "bash", text, *GTUNNEL]
    with Daemon(argv, env=GTUNNEL_ENVIRONMENT) as running:
        running.wait_for("Reading configuration from descriptor 0")
        running.wait_for("Accepting new connections")
        (pid,) = map(int, Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split())
        os.kill(pid, signal.SIGHUP)
        # It was read to its end: there is nothing to reload.
        running.wait_for("Failed to reload the configuration file")
        os.kill(pid, signal.SIGTERM)
        assert running.wait() == 0


def test_a_descriptor_s_configuration_can_be_read_again(pki: Pki, tmp_path: Path) -> None:
    file = good(pki, tmp_path, "debug = 6\n")
    file.write_text(f"debug = 6\n{file.read_text()}")
    argv: list[str | Path] = ["bash", "-c", 'exec "${@:2}" -fd 7 7< "$1"', "bash", file, *GTUNNEL]
    with Daemon(argv, env=GTUNNEL_ENVIRONMENT) as running:
        running.wait_for("Accepting new connections")
        running.send(signal.SIGHUP)
        running.wait_for("Configuration successful", times=2)
