"""The supervisor obeys signals, keeps its workers alive, and never loses the service to a bad configuration."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gtunnel.conf.load import parse_text
from gtunnel.daemon.supervisor import worker_count
from tests.gtunnel.daemon.watching import alive, children, descriptors, served, soon
from tests.support import servers
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import PREAMBLE, READY, Tunnels

PortFactory = Callable[[], int]


@pytest.fixture
def target(server: Callable[..., Server]) -> Server:
    """What services connect to: it says nothing, so connections stay in their handshake."""
    return server(servers.hang)


def service(port: int, to: object, lines: str = "", name: str = "it") -> str:
    """A client service."""
    return f"[{name}]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {to}\n{lines}"


def rewrite(running: Daemon, text: str, preamble: str = PREAMBLE) -> None:
    """Change the configuration of a running gtunnel."""
    Path(running.argv[-1]).write_text(preamble + text)


def reload(running: Daemon, text: str, says: str = READY, preamble: str = PREAMBLE) -> None:
    """Change the configuration, send SIGHUP, and wait for one more line that says so."""
    rewrite(running, text, preamble)
    times = running.count(says) + 1
    running.send(signal.SIGHUP)
    running.wait_for(says, times=times)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGTERM, "LOG5[ui]: Terminated"),
        (signal.SIGINT, "LOG3[ui]: Received SIGINT; terminating"),
        (signal.SIGQUIT, "LOG3[ui]: Received SIGQUIT; terminating"),
    ],
)
def test_it_stops_with_status_0_and_all_its_workers(
    gtunnel: Tunnels, target: Server, free_port: PortFactory, number: signal.Signals, says: str
) -> None:
    port = free_port()
    running = gtunnel(f"workers = 3\n{service(port, target.endpoint)}")
    pids = children(running.pid)
    assert len(pids) == 3
    running.send(number)
    assert running.wait() == 0
    assert says in running.output
    assert not any(alive(pid) for pid in pids)
    assert not served(port)


def test_auto_is_a_worker_for_each_core_that_we_may_use() -> None:
    assert worker_count(parse_text("[x]\nclient = yes\naccept = 1\nconnect = 2")) == len(os.sched_getaffinity(0))
    assert worker_count(parse_text("workers = 7\n[x]\nclient = yes\naccept = 1\nconnect = 2")) == 7


class TestReload:
    """SIGHUP."""

    def test_a_good_configuration_takes_over(self, gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
        stays, goes, comes = free_port(), free_port(), free_port()
        running = gtunnel(service(stays, target.endpoint) + service(goes, target.endpoint, name="goes"))
        before = children(running.pid)
        reload(running, service(stays, target.endpoint) + service(comes, target.endpoint, name="comes"))
        assert served(stays)
        assert served(comes)
        assert soon(lambda: not served(goes))
        target.close()  # a look at a port may have been an old worker's last connection
        assert soon(lambda: not children(running.pid) & before)
        assert running.count("Configuration successful") == 2

    def test_a_connection_keeps_its_service(self, gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
        port = free_port()
        running = gtunnel(f"workers = 1\n{service(port, target.endpoint)}")
        (old,) = children(running.pid)
        with socket.create_connection(("127.0.0.1", port)):
            running.wait_for("connected remote server")
            reload(running, f"workers = 1\n{service(port, target.endpoint)}")
            assert old in children(running.pid)
            running.send(signal.SIGUSR2)
            running.wait_for("Listed 1 active connection(s)")
            target.close()
        assert soon(lambda: old not in children(running.pid))
        assert "died" not in running.output

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda text: f"{text}nonsense = 1\n", ': "nonsense = 1": Specified option name is not valid here'),
            (lambda text: f"{text}cert = /nowhere.pem\n", ': "cert = /nowhere.pem": Service [it]: No such file'),
            (
                lambda text: f"{text}[more]\nclient = yes\nconnect = 1\naccept = 192.0.2.1:1\n",
                "Binding service [more] failed: bind: 192.0.2.1:1: Cannot assign",
            ),
            (lambda text: f"output = /nowhere/log\n{text}", "Cannot open log file /nowhere/log: No such file"),
            (lambda text: f"{text}ciphers = NONE\n", ': "ciphers = NONE": Service [it]: SSL routines::no cipher match'),
        ],
    )
    def test_a_bad_one_changes_nothing_and_the_log_says_why(
        self,
        gtunnel: Tunnels,
        target: Server,
        free_port: PortFactory,
        change: Callable[[str], str],
        reason: str,
    ) -> None:
        port = free_port()
        text = service(port, target.endpoint)
        running = gtunnel(text)
        before, held = children(running.pid), descriptors(running.pid)
        reload(running, change(text), "Failed to reload the configuration file")
        line = running.wait_for(reason)
        if "output" not in line and "bind" not in line and "Cannot open" not in line:
            assert f"{running.argv[-1]}:" in line  # file and line
        assert children(running.pid) == before
        assert soon(lambda: descriptors(running.pid) == held)
        assert served(port)
        reload(running, text)

    def test_a_configuration_that_is_gone_changes_nothing(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        port = free_port()
        running = gtunnel(service(port, target.endpoint))
        Path(running.argv[-1]).unlink()
        running.send(signal.SIGHUP)
        running.wait_for("cannot read the configuration: No such file or directory")
        running.wait_for("Failed to reload the configuration file")
        assert served(port)

    def test_many_reloads_leave_nothing_behind(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory, tmp_path: Path
    ) -> None:
        text = f"workers = 1\noutput = {tmp_path}/log\n{service(free_port(), target.endpoint)}"
        running = gtunnel(text)
        reload(running, text)
        assert soon(lambda: len(children(running.pid)) == 1)
        held = descriptors(running.pid)
        for _ in range(3):
            reload(running, text)
        assert soon(lambda: len(children(running.pid)) == 1)
        assert soon(lambda: descriptors(running.pid) == held)

    def test_the_number_of_workers_follows(self, gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
        text = service(free_port(), target.endpoint)
        running = gtunnel(f"workers = 1\n{text}")
        reload(running, f"workers = 3\n{text}")
        assert soon(lambda: len(children(running.pid)) == 3)

    def test_foreground_is_not_reloaded_however_often(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        text = service(free_port(), target.endpoint)
        running = gtunnel(text)
        quiet = PREAMBLE.replace("foreground = yes", "foreground = quiet")
        for _ in range(3):
            reload(running, text, preamble=quiet)

    def test_the_level_of_the_log_follows(self, gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
        text = service(free_port(), target.endpoint)
        running = gtunnel(text)
        rewrite(running, text, PREAMBLE.replace("debug = debug", "debug = err"))
        running.send(signal.SIGHUP)
        running.wait_for("Configuration successful", times=2)  # still by the old one
        assert soon(lambda: len(children(running.pid)) <= len(os.sched_getaffinity(0)))
        running.send(signal.SIGUSR1)
        running.send(signal.SIGUSR2)
        running.wait_for("Listed 0 active connection(s)")
        assert "Log file reopened" not in running.output


class TestReopen:
    """SIGUSR1."""

    def test_the_log_goes_to_the_new_file(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory, tmp_path: Path
    ) -> None:
        log, port = tmp_path / "log", free_port()
        running = gtunnel(f"output = {log}\n{service(port, target.endpoint)}")
        rotated = log.rename(tmp_path / "log.1")
        running.send(signal.SIGUSR1)
        running.wait_for("Log file reopened")
        assert "Log file reopened" in log.read_text()
        socket.create_connection(("127.0.0.1", port)).close()
        # The worker's lines as well.
        assert soon(lambda: "accepted connection" in log.read_text())
        assert "accepted connection" not in rotated.read_text()

    def test_overwrite_begins_anew(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        running = gtunnel(f"output = {log}\nlog = overwrite\n{service(free_port(), target.endpoint)}")
        assert "Configuration successful" in log.read_text()
        running.send(signal.SIGUSR1)
        running.wait_for("Log file reopened")
        assert log.read_text().count("\n") == 1

    def test_a_file_that_cannot_be_opened_changes_nothing(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory, tmp_path: Path
    ) -> None:
        directory = tmp_path / "logs"
        directory.mkdir()
        running = gtunnel(f"output = {directory}/log\n{service(free_port(), target.endpoint)}")
        moved = directory.rename(tmp_path / "moved")
        running.send(signal.SIGUSR1)
        running.wait_for(f"Cannot open log file {directory}/log: No such file or directory (2)")
        assert "Cannot open log file" in (moved / "log").read_text()


class TestList:
    """SIGUSR2."""

    def test_live_connections_are_listed_whatever_the_level(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        port = free_port()
        quiet = PREAMBLE.replace("debug = debug", "debug = err")
        running = gtunnel.start(f"workers = 2\n{service(port, target.endpoint)}", preamble=quiet)
        assert soon(lambda: served(port))
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            assert soon(lambda: len(target.peers) >= 3)
            running.send(signal.SIGUSR2)
            running.wait_for("Active connections:")
            running.wait_for(
                "Active connection 3: Service [it], 0 byte(s) sent to TLS, 0 byte(s) sent to socket, from 127.0.0.1:"
            )

    def test_a_worker_that_replaced_a_dead_one_is_heard(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        port = free_port()
        running = gtunnel(f"workers = 1\n{service(port, target.endpoint)}")
        (old,) = children(running.pid)
        os.kill(old, signal.SIGKILL)
        running.wait_for("and its connections with it: replaced")
        with socket.create_connection(("127.0.0.1", port)):
            running.wait_for("connected remote server")
            for times in (1, 2):
                running.send(signal.SIGUSR2)
                running.wait_for("Listed 1 active connection(s)", times=times)


class TestWorkers:
    """Workers that die, and a supervisor that does."""

    def test_a_killed_worker_is_replaced_and_the_service_goes_on(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        port = free_port()
        running = gtunnel(f"workers = 2\n{service(port, target.endpoint)}")
        old = children(running.pid)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        for pid in old:
            running.wait_for(f"Worker {pid} died (signal 9), and its connections with it: replaced")
        assert soon(lambda: len(children(running.pid) - old) == 2)
        with socket.create_connection(("127.0.0.1", port)):
            running.wait_for("connected remote server")

    def test_those_that_die_together_are_one_failure(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        running = gtunnel(f"workers = 6\n{service(free_port(), target.endpoint)}")
        old = children(running.pid)
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        # A second later, and not as if the sixth of them had died right after the fifth.
        began = time.monotonic()
        assert soon(lambda: len(children(running.pid) - old) == 6)
        assert time.monotonic() - began < 10

    def test_a_stopped_reload_does_not_keep_dead_workers_from_being_replaced(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        text = f"workers = 2\n{service(free_port(), target.endpoint)}"
        running = gtunnel(text)
        old = children(running.pid)
        rewrite(running, f"{text}nonsense = 1\n")
        os.kill(min(old), signal.SIGKILL)
        running.send(signal.SIGHUP)
        running.wait_for("Failed to reload the configuration file")
        assert soon(lambda: len(children(running.pid)) == 2 and min(old) not in children(running.pid))

    def test_when_the_supervisor_is_killed_all_ends_and_ports_are_free(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        port = free_port()
        running = gtunnel(f"workers = 3\n{service(port, target.endpoint)}")
        pids = children(running.pid)
        with socket.create_connection(("127.0.0.1", port)):
            running.wait_for("connected remote server")
            running.send(signal.SIGKILL)
            running.wait()
            assert soon(lambda: not any(alive(pid) for pid in pids))
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))

    def test_a_signal_to_the_whole_group_stops_it_once(
        self, gtunnel: Tunnels, target: Server, free_port: PortFactory
    ) -> None:
        # Ctrl-C on a terminal.
        running = gtunnel(f"workers = 2\n{service(free_port(), target.endpoint)}")
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait() == 0
        assert running.count("terminating") == 1
        assert "died" not in running.output
