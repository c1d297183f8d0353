"""Who may connect: TCP wrappers with the real files, ident with a real ident server, and limits over all workers."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.servers import Server, hang
from tests.support.tunnels import Tunnels
from tests.support.visits import backend

root = pytest.mark.root


def greets(port: int, pki: Pki, *, source: str = "127.0.0.1", name: str = "localhost") -> bytes | None:
    """What a client hears first; None if it is turned away."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.check_hostname = False
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as plain,
            context.wrap_socket(plain, server_hostname=name) as client,
        ):
            return client.recv(100).removeprefix(b"reached:").strip() or None
    except OSError:
        return None


def with_files(directory: Path, allow: str, deny: str) -> Callable[..., "subprocess.Popen[str]"]:
    """A launcher of programs that see other files in the place of /etc/hosts.allow and /etc/hosts.deny."""
    (directory / "hosts.allow").write_text(allow)
    (directory / "hosts.deny").write_text(deny)

    def launch(argv: list[str], **options: object) -> "subprocess.Popen[str]":
        mounts = " && ".join(f"mount --bind {directory}/{name} /etc/{name}" for name in ("hosts.allow", "hosts.deny"))
        shell = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh", *argv]
        return subprocess.Popen([str(word) for word in shell], **options)  # type: ignore[call-overload, no-any-return]

    return launch


@root
@pytest.mark.parametrize("kind", ["gtunnel", "stunnel4"])
def test_tcp_wrappers_let_in_whom_the_files_name(
    kind: str, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, inside = free_port(), server(backend("inside")).endpoint
    tunnels = Tunnels(kind, tmp_path)
    launch = with_files(tmp_path, "web: 127.0.0.2\nother: 127.0.0.2 127.0.0.3\n", "ALL: ALL\n")
    conf = (
        f"[web]\naccept = 127.0.0.1:{port}\nconnect = {inside}\ncert = {pki.server.pem}\nlibwrap = yes\n"
        f"[other]\nsni = web:other.example.org\nconnect = {inside}\ncert = {pki.server.pem}\nlibwrap = yes\n"
    )
    running = tunnels(conf, launch=launch)
    try:
        assert greets(port, pki, source="127.0.0.2") == b"inside"
        running.wait_for("Service [web] permitted by libwrap from 127.0.0.2:")
        assert greets(port, pki, source="127.0.0.3") is None
        running.wait_for("Service [web] REFUSED by libwrap from 127.0.0.3:")
        running.wait_for("See hosts_access(5) manual for details")
        assert running.count("accepted connection") == 1
        assert greets(port, pki, source="127.0.0.2", name="other.example.org") == b"inside"
        running.wait_for("Service [other] permitted by libwrap from 127.0.0.2:")
    finally:
        running.stop()


@root
def test_a_secondary_service_asks_for_itself(
    pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], tmp_path: Path, gtunnel: Tunnels
) -> None:
    port, inside = free_port(), server(backend("inside")).endpoint
    running = gtunnel(
        f"[web]\naccept = 127.0.0.1:{port}\nconnect = {inside}\ncert = {pki.server.pem}\nlibwrap = yes\n"
        f"[inner]\nsni = web:inner.example.org\nconnect = {inside}\ncert = {pki.server.pem}\nlibwrap = yes\n",
        launch=with_files(tmp_path, "web: ALL\n", "ALL: ALL\n"),
    )
    assert greets(port, pki) == b"inside"
    assert greets(port, pki, name="inner.example.org") is None
    running.wait_for("Service [inner] REFUSED by libwrap from 127.0.0.1:")


@root
def test_a_slow_check_holds_up_nobody_and_twist_lets_nobody_in(
    pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], tmp_path: Path, gtunnel: Tunnels
) -> None:
    port, inside, fifo = free_port(), server(backend("inside")).endpoint, tmp_path / "fifo"
    os.mkfifo(fifo)
    allow = f"web: 127.0.0.2: aclexec cat {fifo}\nweb: 127.0.0.3: twist /bin/echo hello\nweb: ALL\n"
    gtunnel(
        f"workers = 1\n[web]\naccept = 127.0.0.1:{port}\nconnect = {inside}\ncert = {pki.server.pem}\nlibwrap = yes\n",
        launch=with_files(tmp_path, allow, "ALL: ALL\n"),
    )
    waiting: list[bytes | None] = []
    slow = threading.Thread(target=lambda: waiting.append(greets(port, pki, source="127.0.0.2")))
    slow.start()
    assert greets(port, pki) == b"inside"
    assert greets(port, pki, source="127.0.0.3") is None
    assert waiting == []
    fifo.write_text("")
    slow.join(20)
    assert waiting == [b"inside"]


@contextlib.contextmanager
def identd(directory: Path, reply: str) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """A network namespace with the real oidentd on port 113; yields how to start programs in it."""
    name = f"gtid{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    started: list[Daemon] = []
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        (directory / "oidentd.conf").write_text(f'default {{\n default {{\n force reply "{reply}"\n }}\n}}\n')

        def launch(argv: list[str], **options: object) -> "subprocess.Popen[str]":
            return subprocess.Popen(["ip", "netns", "exec", name, *map(str, argv)], **options)  # type: ignore[call-overload, no-any-return]

        oidentd = shutil.which("oidentd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert oidentd is not None, "oidentd is not installed: tools/install-packages run test"
        argv = [oidentd, "-i", "-C", str(directory / "oidentd.conf"), "-u", "0", "-g", "0"]
        started.append(Daemon(argv, launch=launch))
        yield launch
    finally:
        for daemon in started:
            daemon.stop()
        subprocess.run(["ip", "netns", "del", name], check=True)


@root
@pytest.mark.parametrize(("user", "welcome"), [("joe", True), ("jim", False)])
def test_ident_lets_in_whom_the_clients_machine_names(
    user: str, welcome: bool, pki: Pki, tmp_path: Path, gtunnel: Tunnels
) -> None:
    with identd(tmp_path, "joe") as launch:
        conf = f"[web]\naccept = 127.0.0.1:4433\nconnect = 127.0.0.1:113\ncert = {pki.server.pem}\nident = {user}\n"
        running = gtunnel(conf, launch=launch)
        client = ["openssl", "s_client", "-connect", "127.0.0.1:4433", "-CAfile", str(pki.ca), "-verify_return_error"]
        done = launch(client, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output, _ = done.communicate(timeout=30)
        if welcome:
            running.wait_for("IDENT authentication passed")
            assert "New, TLSv1" in output
        else:
            running.wait_for('REFUSED by IDENT (user "joe")')
            assert "New, TLSv1" not in output
            assert running.count("accepted connection") == 0
        running.stop()


def test_without_an_ident_server_nobody_is_let_in(
    pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], gtunnel: Tunnels
) -> None:
    port = free_port()
    running = gtunnel(
        f"[web]\naccept = 127.0.0.1:{port}\nconnect = {server(hang).endpoint}\ncert = {pki.server.pem}\nident = joe\n"
    )
    assert greets(port, pki) is None
    running.wait_for("No IDENT server at 127.0.0.1:113")


class Clients:
    """Connections that stay, to a service that greets."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.open: list[socket.socket] = []

    def come(self) -> bool:
        """Whether one more is let in."""
        with contextlib.suppress(OSError):
            client = socket.create_connection(("127.0.0.1", self._port), timeout=20)
            try:
                if client.recv(1) == b"h":
                    self.open.append(client)
                    return True
            finally:
                if client not in self.open:
                    client.close()
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go()

    def go(self) -> None:
        while self.open:
            self.open.pop().close()


def greeter(connection: socket.socket) -> None:
    """Greets, and stays until its client leaves."""
    connection.sendall(b"h")
    connection.recv(1)


@pytest.fixture
def limited(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> Callable[..., tuple[Clients, Daemon]]:
    """A service with limits in two workers, behind which there is one that greets."""

    def start(process: str, lines: str) -> tuple[Clients, Daemon]:
        outer, inner = free_port(), free_port()
        gtunnel(f"[far]\naccept = 127.0.0.1:{inner}\nconnect = {server(greeter).endpoint}\ncert = {pki.server.pem}\n")
        running = gtunnel(
            f"workers = 2\n{process}[near]\nclient = yes\naccept = 127.0.0.1:{outer}\n"
            f"connect = 127.0.0.1:{inner}\n{lines}"
        )
        return Clients(outer), running

    return start


@pytest.mark.parametrize(
    ("process", "lines", "text"),
    [
        ("maxConnections = 5\n", "", "too many clients (>=5)"),
        ("", "maxConnections = 5\n", "too many clients of service [near] (>=5)"),
        ("", "maxConnectionsPerIP = 5\n", "too many connections from 127.0.0.1 (>=5)"),
    ],
)
def test_a_limit_holds_over_all_workers_and_those_that_leave_make_room(
    process: str, lines: str, text: str, limited: Callable[..., tuple[Clients, Daemon]]
) -> None:
    clients, running = limited(process, lines)
    with clients:
        assert [clients.come() for _ in range(7)] == [True] * 5 + [False] * 2
        running.wait_for(f"Connection rejected: {text}")
        clients.go()
        running.wait_for("finished (", times=7)
        assert [clients.come() for _ in range(6)] == [True] * 5 + [False]


def test_connections_that_outlive_a_reload_still_count(limited: Callable[..., tuple[Clients, Daemon]]) -> None:
    clients, running = limited("", "maxConnections = 3\n")
    with clients:
        assert [clients.come() for _ in range(2)] == [True, True]
        running.send(signal.SIGHUP)
        running.wait_for("Accepting new connections", times=2)
        assert [clients.come() for _ in range(2)] == [True, False]


def test_a_handshake_has_an_end_however_slowly_it_goes_on(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    port = free_port()
    running = gtunnel(
        f"[web]\naccept = 127.0.0.1:{port}\nconnect = {server(hang).endpoint}\ncert = {pki.server.pem}\n"
        "handshakeTimeout = 1\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"\x16\x03\x01")
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    running.wait_for("handshakeTimeout exceeded: no relay after 1 seconds: sending reset")


@root
def test_a_service_says_whose_its_unix_socket_is(
    server: Callable[..., Server], tmp_path: Path, gtunnel: Tunnels
) -> None:
    tmp_path.chmod(0o755)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    common = f"client = yes\nconnect = {server(hang).endpoint}\n"
    running = gtunnel(
        f"setuid = daemon\nworkers = 1\n[a]\naccept = {ours}\n{common}"
        f"[b]\naccept = {theirs}\nsetuid = 33\nsetgid = games\n{common}"
    )
    names = [(path.owner(), path.group()) for path in (ours, theirs)]
    assert names == [("daemon", "daemon"), ("www-data", "games")]
    running.stop()
