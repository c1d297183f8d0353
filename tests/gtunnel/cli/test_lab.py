"""`gtunnel lab` as somebody at a terminal sees it."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gtunnel.cli import lab as command
from netsetup.lab import Lab, namespaces
from tests.support.tunnels import ROOT

NAME = f"test-cli-{os.getpid()}"
# The command alone, whatever else gtunnel's command line can do.
SCRIPT = """
import argparse, sys
from gtunnel.cli import lab
parser = argparse.ArgumentParser(prog="gtunnel")
lab.add_parser(parser.add_subparsers())
args = parser.parse_args()
sys.exit(args.func(args))
"""


@pytest.fixture
def name() -> Iterator[str]:
    """A lab's name; whatever is up under it is removed."""
    yield NAME
    Lab(NAME).down()


def call(*arguments: str) -> int:
    """Run the command in this process and return the exit status."""
    parser = argparse.ArgumentParser(prog="gtunnel")
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["lab", *arguments])
    return int(args.func(args))


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a program of its own."""
    argv = [sys.executable, "-c", SCRIPT, "lab", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT, timeout=20)


@pytest.mark.root
def test_a_lab_s_life(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    option = ("--name", name)
    assert call("status", *option) == 1
    assert f"gtunnel lab up --name {name}" in capsys.readouterr().out
    assert call("up", *option) == 0
    told = capsys.readouterr().out
    assert f"gtunnel lab down --name {name}" in told
    for text in ("192.0.2.2", "2001:db8:1::2", "to-client", "to-server", "198.51.100.2", "2001:db8:2::2"):
        assert text in told
    assert call("up", *option) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert call("status", *option) == 0
    assert f"gateway: namespace {name}-gateway" in capsys.readouterr().out
    assert call("down", *option) == 0
    assert capsys.readouterr().out == f"Lab {name} is gone.\n"
    assert call("down", *option) == 0
    assert "nothing changed" in capsys.readouterr().out


@pytest.mark.root
def test_a_program_s_output_arguments_and_exit_status_are_its_own(name: str) -> None:
    assert call("up", "--name", name) == 0
    shown = run("run", "--name", name, "gateway", "ip", "-brief", "address")
    assert "192.0.2.1/24" in shown.stdout
    assert shown.stderr == ""
    assert run("run", "--name", name, "client", "sh", "-c", "exit 7").returncode == 7


@pytest.mark.root
def test_a_program_that_is_not_there_is_named(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    call("up", "--name", name)
    assert call("run", "--name", name, "client", "nosuch") == 127
    assert capsys.readouterr().err == "gtunnel lab: no program nosuch\n"


@pytest.mark.root
def test_running_without_a_lab_says_how_to_get_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("run", "--name", name, "client", "true") == 1
    assert capsys.readouterr().err == f"gtunnel lab: lab {name} is not up\n"


@pytest.mark.root
def test_programs_in_the_lab_are_listed_with_whose_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    call("up", "--name", name)
    with subprocess.Popen(["ip", "netns", "exec", f"{name}-client", "sleep", "100"]) as foreign:
        while not Lab(name).status().hosts[0].processes:
            pass
        call("status", "--name", name)
        foreign.kill()
    assert f"process {foreign.pid}: " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("up",), ("down",), ("status",), ("run", "client", "true")])
def test_others_than_root_get_one_line(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert call(*arguments) == 1
    assert capsys.readouterr().err == "gtunnel lab: the lab needs root: it makes network namespaces\n"


def test_a_bad_name_gets_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("up", "--name", "7") == 1
    assert capsys.readouterr().err.startswith("gtunnel lab: '7' cannot name a lab")


def test_only_what_is_required_is_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call("run", "client")
    told = capsys.readouterr().err
    assert "the following arguments are required: CMD\n" in told


@pytest.mark.root
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_an_interrupted_up_is_undone_and_an_interrupted_down_finished(
    name: str, number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def create_then_signal(namespace: str, mark: str) -> None:
        create(namespace, mark)
        os.kill(os.getpid(), number)

    def delete_then_signal(namespace: str) -> None:
        delete(namespace)
        os.kill(os.getpid(), number)

    create, delete = namespaces.create, namespaces.delete
    with monkeypatch.context() as patch:
        patch.setattr(namespaces, "create", create_then_signal)
        assert call("up", "--name", name) == status
    assert Lab(name).status().absent
    assert f"Lab {name} is not up." in capsys.readouterr().err
    Lab(name).up()
    with monkeypatch.context() as patch:
        patch.setattr(namespaces, "delete", delete_then_signal)
        assert call("down", "--name", name) == status
    assert Lab(name).status().absent
    assert f"Lab {name} is not up." in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help")])
def test_help_has_examples(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call(*arguments)
    assert ended.value.code == 0
    assert "example" in capsys.readouterr().out
