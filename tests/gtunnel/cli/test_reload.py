"""`gtunnel reload` beside a running gtunnel."""

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gtunnel.daemon.watching import children
from tests.support import servers
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import PREAMBLE, Tunnels

PortFactory = Callable[[], int]


def served(endpoint: str) -> bool:
    """Whether somebody accepts connections there."""
    host, _, port = endpoint.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=10):
        return True
    return False


class Running:
    """A gtunnel whose configuration changes, and the command beside it."""

    def __init__(self, tunnels: Tunnels, text: str) -> None:
        self._tunnels = tunnels
        self.daemon: Daemon = tunnels(text)
        self.file = Path(self.daemon.argv[-1])

    def reload(self, text: str, *options: str) -> tuple[int, str]:
        """Change the configuration and reload it: exit status, and what is said."""
        self.file.write_text(PREAMBLE + text)
        done = self._tunnels.run("reload", *options, self.file)
        assert done.stdout == ""
        return done.returncode, done.stderr


@pytest.fixture
def target(server: Callable[..., Server]) -> Server:
    return server(servers.hang)


def service(name: str, accept: object, target: Server, lines: str = "") -> str:
    return f"[{name}]\nclient = yes\naccept = {accept}\nconnect = {target.endpoint}\n{lines}"


def test_services_come_and_go_and_change(gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
    one, two, three = (f"127.0.0.1:{free_port()}" for _ in range(3))
    running = Running(gtunnel, service("a", one, target) + service("b", two, target))
    with socket.create_connection(("127.0.0.1", int(two.rpartition(":")[2])), timeout=10) as live:
        running.daemon.wait_for("Service [b] accepted connection")
        changed = service("a", one, target, "debug = info\n") + service("c", three, target)
        status, said = running.reload(changed, "--wait")
        assert (status, said.splitlines()[-1]) == (0, "Reloaded")
        # At once, without waiting: the command returns when the new configuration runs.
        assert served(one)
        assert served(three)
        assert not served(two)
        live.setblocking(False)
        with pytest.raises(BlockingIOError):
            live.recv(1)


def test_it_is_told_when_busy_workers_accept_no_more(
    gtunnel: Tunnels, target: Server, free_port: PortFactory
) -> None:
    stays, goes = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    text = "workers = 1\n" + service("a", stays, target)
    running = Running(gtunnel, text + service("b", goes, target))
    (old,) = children(running.daemon.pid)
    os.kill(old, signal.SIGSTOP)
    later = threading.Timer(1.5, os.kill, (old, signal.SIGCONT))
    later.start()
    assert running.reload(text, "--wait")[0] == 0
    assert not served(goes)
    later.join()


@pytest.mark.parametrize(("before", "after"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "0.0.0.0"), ("::", "127.0.0.1")])
def test_a_port_moves(gtunnel: Tunnels, target: Server, free_port: PortFactory, before: str, after: str) -> None:
    port = free_port()
    running = Running(gtunnel, service("a", f"{before}:{port}", target))
    assert running.reload(service("a", f"{after}:{port}", target), "--wait")[0] == 0
    assert served(f"127.0.0.1:{port}")
    assert served(f"127.0.0.2:{port}") is (after == "0.0.0.0")


def test_mistakes_are_told_with_file_and_line_and_nothing_changes(
    gtunnel: Tunnels, target: Server, free_port: PortFactory
) -> None:
    port = f"127.0.0.1:{free_port()}"
    running = Running(gtunnel, service("a", port, target))
    status, said = running.reload(service("a", port, target, "debug = lots\n"), "--wait")
    assert status == 1
    assert f"{running.file}:9: " in said
    assert "Illegal debug level" in said
    assert said.splitlines()[-1] == "Not reloaded: the old configuration goes on"
    assert served(port)
    running.daemon.wait_for("Failed to reload the configuration file")


def test_what_cannot_be_bound_is_told(gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
    port = f"127.0.0.1:{free_port()}"
    running = Running(gtunnel, service("a", port, target))
    status, said = running.reload(service("a", target.endpoint, target), "--wait")
    assert status == 1
    assert "Binding service [a] failed: bind: " in said
    assert served(port)


def test_without_wait_it_is_asked_for_and_no_more(gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
    one, two = (f"127.0.0.1:{free_port()}" for _ in range(2))
    running = Running(gtunnel, service("a", one, target))
    assert running.reload(service("a", two, target)) == (0, "")
    running.daemon.wait_for("Accepting new connections", times=2)
    assert served(two)


def test_nobody_runs_it(gtunnel: Tunnels, target: Server, tmp_path: Path) -> None:
    file = gtunnel.configuration(service("a", 1, target))
    done = gtunnel.run("reload", "--wait", file)
    assert done.returncode == 1
    assert "no gtunnel is running there" in done.stderr
    off = gtunnel.configuration("control =\n" + service("a", 1, target))
    assert "there is no control socket" in gtunnel.run("reload", off).stderr
    assert gtunnel.run("reload", tmp_path / "none").returncode == 1


def test_the_socket_may_be_elsewhere(
    gtunnel: Tunnels, target: Server, free_port: PortFactory, tmp_path: Path
) -> None:
    text = f"control = {tmp_path}/its.control\n" + service("a", f"127.0.0.1:{free_port()}", target)
    running = Running(gtunnel, text)
    assert running.reload(text, "--wait")[0] == 0
    assert gtunnel.run("reload", "--wait", "--control", tmp_path / "its.control").returncode == 0
    # What the file says about its place counts whatever mistakes there are elsewhere.
    status, said = running.reload(text + "x\n", "--wait")
    assert status == 1
    assert "No '=' found" in said
    running.daemon.stop()
    assert not (tmp_path / "its.control").exists()


def test_it_waits_as_long_as_it_is_told(gtunnel: Tunnels, target: Server, free_port: PortFactory) -> None:
    text = service("a", f"127.0.0.1:{free_port()}", target)
    running = Running(gtunnel, text)
    assert running.reload(text, "--wait", "--timeout", "inf")[0] == 0
    running.daemon.send(signal.SIGSTOP)
    for seconds in ("0", "nan"):
        status, said = running.reload(text, "--wait", "--timeout", seconds)
        assert (status, "no answer within 0.01 seconds" in said) == (1, True)
    running.daemon.send(signal.SIGCONT)
