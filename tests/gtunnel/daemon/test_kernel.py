"""When the kernel is set up and when not: in the order that loses nobody."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gtunnel.conf.settings import Configuration
from gtunnel.daemon.kernel import Kernel, KernelError, Untouched
from gtunnel.events import Log
from tests.gtunnel.daemon.watching import children, soon
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import configuration
from tests.support.daemon import Daemon
from tests.support.tunnels import ROOT


def test_who_is_not_concerned_does_nothing() -> None:
    kernel: Kernel = Untouched()
    log = ListLog()
    kernel.apply(configuration("[x]\nclient = yes\naccept = 1\nconnect = 2\n"), log)
    kernel.remove(log)
    kernel.let_go()
    assert log.lines == []


def test_an_error_says_whose_it_is() -> None:
    assert str(KernelError(reason="no")) == "netsetup: no"


class Recording:
    """Logs what is asked of it, where the other lines are; refuses configurations whose services are called bad."""

    def apply(self, configuration: Configuration, log: Log) -> None:
        """See `Kernel`."""
        names = " ".join(service.name for service in configuration.services)
        log.write(log.threshold, f"APPLY {names}")
        if names == "bad":
            raise KernelError(reason="bad is bad")

    def remove(self, log: Log) -> None:
        """See `Kernel`."""
        log.write(log.threshold, "REMOVE")
        raise KernelError(reason="it stays")

    def let_go(self) -> None:
        """See `Kernel`."""


@pytest.fixture
def script() -> str:
    return """
import sys
from gtunnel.conf.load import load_file
from gtunnel.daemon import start
from tests.gtunnel.daemon.test_kernel import Recording
sys.exit(start.run(lambda: load_file(sys.argv[1]), sys.argv[1], Recording()))
"""


CONF = """\
foreground = yes
pid =
syslog = no
debug = debug
workers = 2
[{0}]
client = yes
accept = 127.0.0.1:0
connect = 127.0.0.1:1
"""


@pytest.fixture
def run(
    tmp_path: Path, daemon: Callable[..., Daemon], script: str
) -> Callable[[str], tuple[Daemon, Callable[[str], None]]]:
    """`run(name)`: a daemon with a service of that name, and how to reload it with another one's."""

    def started(name: str) -> tuple[Daemon, Callable[[str], None]]:
        file = tmp_path / "x.conf"
        file.write_text(CONF.format(name))
        running = daemon([sys.executable, "-c", script, file], cwd=ROOT, env={"PYTHONPATH": str(ROOT)})

        def reload(other: str) -> None:
            file.write_text(CONF.format(other))
            running.send(signal.SIGHUP)

        return running, reload

    return started


Run = Callable[[str], tuple[Daemon, Callable[[str], None]]]


def order(running: Daemon, *texts: str) -> None:
    """These stand in the output in this order."""
    places = [running.output.index(text) for text in texts]
    assert places == sorted(places), running.output


def test_it_is_set_up_when_workers_accept_and_removed_before_they_stop(run: Run) -> None:
    running, reload = run("good")
    running.wait_for("Accepting new connections")
    before = children(running.pid)
    assert len(before) == 2
    order(running, "bound to", "APPLY good", "Accepting new connections")
    reload("better")
    running.wait_for("Accepting new connections", times=2)
    order(running, "APPLY good", "APPLY better")
    reload("bad")
    running.wait_for("Failed to reload the configuration file")
    assert "netsetup: bad is bad" in running.output
    assert "workers did not start" not in running.output
    assert soon(lambda: len(children(running.pid)) == 2)
    assert running.stop() == 0
    order(running, "Terminated", "REMOVE", "netsetup: it stays")


def test_a_start_without_it_is_none(run: Run) -> None:
    running, _ = run("bad")
    assert running.wait() == 1
    assert "[!] netsetup: bad is bad" in running.output
    assert "Accepting new connections" not in running.output
