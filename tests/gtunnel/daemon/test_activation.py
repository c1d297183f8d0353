"""Sockets of a service manager, given by the real systemd-socket-activate; and its notices."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtunnel.daemon import activation
from tests.gtunnel.daemon.watching import children, soon
from tests.support import needs, servers
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]


def test_what_is_meant_for_others_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert activation.inherited() == ()
    assert "LISTEN_FDS" not in os.environ


def service(accepts: list[object], target: Server, name: str = "it") -> str:
    lines = "".join(f"accept = {accept}\n" for accept in accepts)
    return f"[{name}]\nclient = yes\n{lines}connect = {target.endpoint}\n"


class Activated:
    """systemd-socket-activate, which starts gtunnel at the first connection."""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels
        self._ends: list[Daemon] = []

    def __call__(self, text: str, *addresses: object) -> Daemon:
        options = [word for address in addresses for word in ("-l", str(address))]

        def launch(argv: list[str], **rest: object) -> "subprocess.Popen[str]":
            program = needs.program("systemd-socket-activate")
            return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
                [program, *options, "-E", "PYTHONPATH", *map(str, argv)], **rest
            )

        daemon = self._tunnels.start(text, launch=launch)
        daemon.wait_for("Listening on", times=len(addresses))
        return daemon


@pytest.fixture
def activated(gtunnel: Tunnels) -> Activated:
    return Activated(gtunnel)


@pytest.fixture
def target(server: Callable[..., Server]) -> Server:
    return server(servers.hang)


def visit(address: object) -> socket.socket:
    if isinstance(address, Path):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(address))
        return client
    host, _, port = str(address).rpartition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def test_accept_lines_get_the_sockets_in_their_order_and_the_rest_is_bound(
    activated: Activated, target: Server, free_port: PortFactory, tmp_path: Path
) -> None:
    one, three, path = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}", tmp_path / "sock"
    text = service(["127.0.0.1:1"], target, "a") + service(["2", three], target, "b")
    running = activated(text, one, path)
    with visit(one):
        running.wait_for(f"Service [a] (FD=3) bound to {one}")
        running.wait_for(f"Service [b] (FD=4) bound to {path}")
        running.wait_for("Accepting new connections")
        running.wait_for("Service [a] accepted connection from")
    with visit(path), visit(three):
        running.wait_for("Service [b] accepted connection from", times=2)
    running.send(signal.SIGHUP)
    running.wait_for("Accepting new connections", times=2)
    with visit(one), visit(path):
        running.wait_for("Service [a] accepted connection from", times=2)
    running.stop()
    # The file is the manager's.
    assert path.exists()


def test_more_sockets_than_accept_lines_are_a_mistake(
    activated: Activated, target: Server, free_port: PortFactory
) -> None:
    one, two = (f"127.0.0.1:{free_port()}" for _ in range(2))
    running = activated(service(["127.0.0.1:1"], target), one, two)
    with visit(one):
        running.wait_for("Too many listening file descriptors received from systemd")
        assert running.wait() == 1


class Manager:
    """What a service manager hears."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(self.path))
        self.sock.settimeout(20)

    def hears(self, word: str) -> str:
        """Wait until it is said."""
        while True:
            told = self.sock.recv(4096).decode()
            if word in told.splitlines():
                return told

    def launch(self, argv: list[str], **rest: object) -> "subprocess.Popen[str]":
        """Start a program that is to notify it, and to give signs of life twice a second."""
        shell = 'WATCHDOG_PID=$$ exec "$@"'
        words = ["env", f"NOTIFY_SOCKET={self.path}", "WATCHDOG_USEC=1000000", "sh", "-c", shell, "sh", *map(str, argv)]
        return subprocess.Popen(words, **rest)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.sock.close()


def test_a_service_manager_hears_how_it_goes(
    gtunnel: Tunnels, manager: Manager, target: Server, free_port: PortFactory
) -> None:
    text = service([f"127.0.0.1:{free_port()}"], target)
    running = gtunnel(text, launch=manager.launch)
    assert f"MAINPID={running.pid}" in manager.hears("READY=1")
    manager.hears("WATCHDOG=1")
    manager.hears("WATCHDOG=1")
    running.send(signal.SIGHUP)
    manager.hears("RELOADING=1")
    assert "STATUS=Serving 1 service" in manager.hears("READY=1")
    Path(running.argv[-1]).write_text("nonsense\n")
    running.send(signal.SIGHUP)
    assert "the last reload failed" in manager.hears("READY=1")
    running.stop()
    manager.hears("STOPPING=1")


def test_a_worker_that_hangs_is_replaced(
    gtunnel: Tunnels, manager: Manager, target: Server, free_port: PortFactory
) -> None:
    running = gtunnel(f"workers = 2\n{service([f'127.0.0.1:{free_port()}'], target)}", launch=manager.launch)
    hung, other = children(running.pid)
    os.kill(hung, signal.SIGSTOP)
    running.wait_for(f"Worker {hung} does not answer: killed")
    running.wait_for(f"Worker {hung} died (signal 9), and its connections with it: replaced")
    assert soon(lambda: len(children(running.pid)) == 2)
    assert other in children(running.pid)
