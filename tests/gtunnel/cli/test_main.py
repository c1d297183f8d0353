"""The `gtunnel` command as a whole: who answers, with which status, and quietly where nobody listens."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gtunnel.cli import main as command
from gtunnel.cli.main import SUBCOMMANDS
from gtunnel.version import VERSION
from tests.gtunnel.cli.commands import ENVIRONMENT, ask, good, program
from tests.gtunnel.daemon.watching import alive, served, soon
from tests.support.certificates import Pki
from tests.support.tunnels import GTUNNEL

PortFactory = Callable[[], int]
Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_names_both_command_lines(capsys: Capture, option: str) -> None:
    answer = ask(capsys, option)
    assert (answer.status, answer.err) == (0, "")
    for word in (*SUBCOMMANDS, "-fd N", "-sockets", "gtunnel check mail.conf", "/etc/stunnel/stunnel.conf"):
        assert word in answer.out


def test_version_in_one_line(capsys: Capture) -> None:
    assert ask(capsys, "--version").out == f"gtunnel {VERSION}\n"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_s_help_shows_how_it_is_used(capsys: Capture, name: str) -> None:
    answer = ask(capsys, name, "--help")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out.startswith(f"usage: gtunnel {name} ")
    assert f"  gtunnel {name}" in answer.out.partition("example")[2]


@pytest.mark.parametrize(
    "arguments", [("check", "a", "b"), ("run", "--nonsense"), ("netsetup",), ("netsetup", "status", "a", "b"), ("lab",)]
)
def test_a_wrong_command_line_is_status_1(arguments: tuple[str, ...]) -> None:
    # Not argparse's 2: that is "drift" in `netsetup status`.
    answer = program(*arguments)
    assert answer.status == 1
    assert answer.out == ""
    assert "error: " in answer.err


@pytest.mark.parametrize(
    ("arguments", "then"),
    [
        ("--help", "| head -1"),
        ("--help", "| true"),
        ("-help", "2>&1 | head -1"),
        ("-options", "2>&1 | true"),
        ("netsetup --help", "| true"),
        ("--help", ">&-"),
        ("-help", "2>&-"),
    ],
)
def test_nobody_who_listens_is_no_reason_to_complain(arguments: str, then: str) -> None:
    answer = program(*arguments.split(), then=then)
    assert "Traceback" not in answer.out + answer.err
    assert "BrokenPipe" not in answer.out + answer.err
    assert "Exception" not in answer.out + answer.err
    assert answer.status in {0, 1}


def test_closed_standard_descriptors_are_not_taken_by_sockets(pki: Pki, tmp_path: Path, free_port: PortFactory) -> None:
    port, pid_file = free_port(), tmp_path / "pid"
    file = good(pki, tmp_path, f"accept = 127.0.0.1:{port}\n")
    text = file.read_text().replace("pid =", f"pid = {pid_file}").replace("foreground = yes", "foreground = no")
    file.write_text(text)
    assert program(file, then="<&- >&- 2>&-").status == 0
    pid = int(pid_file.read_text())
    try:
        assert served(port)
    finally:
        os.kill(pid, signal.SIGTERM)
        assert soon(lambda: not alive(pid))


def test_a_full_disk_is_told() -> None:
    answer = program("--help", then="> /dev/full")
    assert answer.status == 1
    assert answer.err == "[!] standard output: No space left on device\n"


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("gtunnel.cli.classic.run", interrupted)
    assert command.main(["x.conf"]) == 130


def test_nothing_heavy_is_loaded_to_answer() -> None:
    script = (
        "import sys; from gtunnel.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('gevent', 'pyroute2', 'iptc') if name in sys.modules], file=sys.stderr)"
    )
    for arguments in (["check", "--help"], ["-version"], ["-help"]):
        argv = [GTUNNEL[0], "-c", script, *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=ENVIRONMENT)
        assert done.stderr.endswith("[]\n")
