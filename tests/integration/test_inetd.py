"""inetd mode under what really starts programs for connections, with stunnel4 beside us."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import needs, peers, superservers, tls
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.superservers import Superserver
from tests.support.tls import client_context, connect
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT

FreePort = Callable[[], int]
Serve = Callable[[str], int]


@pytest.fixture(params=["gtunnel", "stunnel4"])
def command(request: pytest.FixtureRequest) -> list[str]:
    """gtunnel's command line, and stunnel4's."""
    if request.param == "stunnel4":
        return [needs.program("stunnel4")]
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in GTUNNEL_ENVIRONMENT.items()), *GTUNNEL]


@pytest.fixture(params=superservers.ALL, ids=lambda one: one.__name__)
def superserver(request: pytest.FixtureRequest) -> Superserver:
    if request.param is superservers.inetd and not needs.is_root():
        pytest.skip("inetd is root's")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def serve(
    request: pytest.FixtureRequest, superserver: Superserver, command: list[str], tmp_path: Path, free_port: FreePort
) -> Serve:
    """`serve(conf)`: the port on which the configuration serves connections, each with a process of its own."""

    def start(conf: str) -> int:
        file = tmp_path / "inetd.conf.tls"
        file.write_text(f"syslog = no\noutput = {tmp_path / 'log'}\ndebug = debug\n{conf}")
        port = free_port()
        daemon: Daemon = superserver(tmp_path, [*command, str(file)], port)
        request.addfinalizer(daemon.kill)
        return port

    return start


def test_a_server_with_a_program(serve: Serve, pki: Pki, command: list[str]) -> None:
    """The manual's imapd, by inetd."""
    port = serve(f"cert = {pki.server.pem}\nexec = /bin/cat\nexecArgs = cat")
    # More than pipes and buffers hold. Behind pipes stunnel4 loses the end of that, now and then.
    count = 30000 if "stunnel4" not in command[0] else 3
    for word in (b"first" * count, b"second"):
        with connect(port, client_context(str(pki.ca))) as peer:
            peer.send(word)
            peer.close_notify()
            assert peer.receive_all() == word


def test_a_server_with_a_target(serve: Serve, pki: Pki, echo: Server) -> None:
    port = serve(f"cert = {pki.server.pem}\nconnect = {echo.endpoint}")
    with connect(port, client_context(str(pki.ca))) as peer:
        peer.send(b"hello")
        assert peer.receive_exactly(5) == b"hello"
        peer.close_notify()
        assert peer.receive_all() == b""


def test_a_client(serve: Serve, pki: Pki, server: Callable[..., Server]) -> None:
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    port = serve(f"client = yes\nconnect = {backend.endpoint}\nCAfile = {pki.ca}\nverifyChain = yes")
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"hello"


def test_a_protocol_before_tls(serve: Serve, pki: Pki, server: Callable[..., Server]) -> None:
    def mail(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example.org ESMTP\r\n")
        for line in connection.makefile("rb"):
            connection.sendall(b"250 you said " + line)
            if line.startswith(b"QUIT"):
                return

    port = serve(f"cert = {pki.server.pem}\nconnect = {server(mail).endpoint}\nprotocol = smtp")
    said = peers.s_client(port, "-starttls", "smtp", "-quiet", send=b"NOOP 1\nQUIT\n")
    assert b"250 you said NOOP 1" in said.stdout


def test_nothing_but_the_service_s_words_comes_of_it(serve: Serve, free_port: FreePort) -> None:
    port = serve(f"client = yes\nconnect = 127.0.0.1:{free_port()}\nreset = no")
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.settimeout(15)
        try:
            said = client.recv(1000)
        except ConnectionResetError:
            said = b""
        assert said == b""
