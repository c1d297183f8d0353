"""When the kernel is set up and when not: in the order that loses nobody."""

import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gtunnel.conf.settings import Configuration
from gtunnel.daemon.kernel import Kernel, KernelError, Untouched
from gtunnel.events import Log
from tests.gtunnel.daemon.watching import children, soon
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import configuration
from tests.support import servers
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import ROOT


def test_who_is_not_concerned_does_nothing() -> None:
    kernel: Kernel = Untouched()
    log = ListLog()
    kernel.check(configuration("[x]\nclient = yes\naccept = 1\nconnect = 2\n"))
    kernel.apply(configuration("[x]\nclient = yes\naccept = 1\nconnect = 2\n"), log)
    kernel.remove(log)
    kernel.let_go()
    assert log.lines == []


def test_an_error_says_whose_it_is() -> None:
    assert str(KernelError(reason="no")) == "netsetup: no"


def name_of(configuration: Configuration) -> str:
    """The only service's."""
    (service,) = configuration.services
    return service.name


class Recording:
    """Logs what is asked of it, where the other lines are; refuses configurations whose service is bad or worse."""

    def check(self, configuration: Configuration) -> None:
        """See `Kernel`."""
        if name_of(configuration) == "worse":
            raise KernelError(reason="worse is bad")

    def apply(self, configuration: Configuration, log: Log) -> None:
        """See `Kernel`."""
        log.write(log.threshold, f"APPLY {name_of(configuration)}")
        while Path("wait").exists():
            time.sleep(0.02)
        if name_of(configuration) == "bad":
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
accept = 127.0.0.1:{1}
connect = {2}
"""


Run = Callable[..., tuple[Daemon, Callable[[str], None]]]


@pytest.fixture
def target(server: Callable[..., Server]) -> Server:
    """What services connect to: it says nothing, so connections stay in their handshake."""
    return server(servers.hang)


@pytest.fixture
def run(tmp_path: Path, daemon: Callable[..., Daemon], script: str, target: Server) -> Run:
    """`run(name, port=0)`: a daemon with a service of that name, and how to reload it with another one's."""

    def started(name: str, port: int = 0) -> tuple[Daemon, Callable[[str], None]]:
        file = tmp_path / "x.conf"
        file.write_text(CONF.format(name, port, target.endpoint))
        running = daemon([sys.executable, "-c", script, file], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})

        def reload(other: str) -> None:
            file.write_text(CONF.format(other, port, target.endpoint))
            running.send(signal.SIGHUP)

        return running, reload

    return started


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
    before = children(running.pid)
    reload("worse")
    running.wait_for("netsetup: worse is bad")
    assert children(running.pid) == before
    assert "APPLY worse" not in running.output
    assert running.stop() == 0
    order(running, "Terminated", "REMOVE", "netsetup: it stays")


@pytest.mark.parametrize("name", ["bad", "worse"])
def test_a_start_without_it_is_none(run: Run, name: str) -> None:
    running, _ = run(name)
    assert running.wait() == 1
    assert f"[!] netsetup: {name} is bad" in running.output
    assert "Accepting new connections" not in running.output


def test_who_was_accepted_before_it_was_refused_is_served_to_his_end(
    run: Run, tmp_path: Path, target: Server, free_port: Callable[[], int]
) -> None:
    port = free_port()
    running, reload = run("good", port)
    running.wait_for("Accepting new connections")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        running.wait_for("accepted connection from")
        (tmp_path / "wait").touch()
        reload("bad")
        running.wait_for("APPLY bad")
        # Old workers and new ones wait for connections, and any of them may take these.
        more = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(20)]
        running.wait_for("accepted connection from", times=21)
        (tmp_path / "wait").unlink()
        running.wait_for("Failed to reload the configuration file")
        for one in (client, *more):
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1)
            one.close()
    target.close()
    assert soon(lambda: len(children(running.pid)) == 2)
