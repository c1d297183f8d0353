"""A successor is built beside what runs, or not at all, and the log says why."""

from pathlib import Path

import pytest

from gtunnel.conf.load import load_file
from gtunnel.conf.settings import Configuration, Foreground
from gtunnel.daemon.generation import Generation, bind, compile_services
from gtunnel.daemon.log import Journal
from gtunnel.daemon.renewal import Anew, start_journal
from gtunnel.events import Level, Log
from gtunnel.net.loops import LoopGuard
from gtunnel.tls.site import Site
from tests.gtunnel.logs import ListLog

GOOD = "syslog = no\npid =\n[it]\nclient = yes\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\n"


class Running:
    """A generation, and its configuration's file."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "it.conf"
        self.file.write_text(GOOD)
        self.log = ListLog(Level.NOTICE)
        configuration = load_file(str(self.file))
        services = compile_services(configuration, LoopGuard(), Journal(()), self.log)
        self.current: Generation = bind(configuration, services, None, self.log)

    def load(self, _: Log) -> Configuration:
        return load_file(str(self.file))


@pytest.fixture
def running(tmp_path: Path) -> Running:
    return Running(tmp_path)


def test_a_successor_keeps_the_sockets(running: Running) -> None:
    successor = Anew(running.load, Site()).successor(running.current, Foreground.QUIET, running.log)
    assert successor is not None
    assert [one.sock for one in successor.generation.listening] == [one.sock for one in running.current.listening]
    assert running.log.texts[-1] == "Configuration successful"
    running.current.close_all_but(())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOOD.replace("connect", "verify = 2\nconnect"), None),
        (f"output = /nowhere/log\n{GOOD}", "Cannot open log file /nowhere/log"),
        (GOOD.replace("127.0.0.1:0", "192.0.2.1:1"), "Binding service [it] failed"),
    ],
)
def test_whatever_fails_leaves_what_runs(running: Running, text: str, says: str | None) -> None:
    running.file.write_text(text)
    assert Anew(running.load, Site()).successor(running.current, Foreground.QUIET, running.log) is None
    assert all(one.sock.fileno() >= 0 for one in running.current.listening)
    assert says is None or any(says in line for line in running.log.texts)
    running.current.close_all_but(())


def test_a_bug_is_told_and_leaves_what_runs(running: Running) -> None:
    def broken(_: Log) -> Configuration:
        raise ZeroDivisionError

    assert Anew(broken, Site()).successor(running.current, Foreground.QUIET, running.log) is None
    assert any("INTERNAL ERROR: ZeroDivisionError" in line for line in running.log.texts)
    running.current.close_all_but(())


def test_the_same_again(running: Running) -> None:
    again = Anew(running.load, Site()).same(running.current, Journal(()), running.log)
    assert again is not None
    assert again.configuration is running.current.configuration
    running.current.close_all_but(())


def test_standard_error_is_for_who_stays_in_the_foreground(running: Running) -> None:
    configuration = running.current.configuration
    assert len(start_journal(configuration, Foreground.YES).sinks) == 1
    assert start_journal(configuration, Foreground.QUIET).sinks == ()
    running.current.close_all_but(())
