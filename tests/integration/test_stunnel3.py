"""stunnel 3's command line with real connections: gtunnel3, with Debian's stunnel3 beside it."""

import socket
import sys
from collections.abc import Callable

import pytest

from tests.support import needs, servers
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tls import client_context, connect
from tests.support.tunnels import GTUNNEL_ENVIRONMENT

GTUNNEL3 = [sys.executable, "-c", "from gtunnel.cli.stunnel3 import entry; entry()"]
READY = "Accepting new connections"
Start = Callable[..., Daemon]


@pytest.fixture(params=["gtunnel3", "stunnel3"])
def start(request: pytest.FixtureRequest, daemon: Start) -> Start:
    """`start(*arguments)`: the older command line, in the foreground, until it accepts."""
    command = GTUNNEL3 if request.param == "gtunnel3" else [needs.program("stunnel3")]

    def run(*arguments: str) -> Daemon:
        running = daemon([*command, "-f", "-D", "6", *arguments], env=GTUNNEL_ENVIRONMENT)
        running.wait_for(READY)
        return running

    return run


def test_the_book_s_mail_server_and_client(
    start: Start, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    """-p CERT -d PORT -r PORT there, -c -d PORT -r HOST:PORT here."""
    outer, inner = free_port(), free_port()
    mail = server(servers.echo)
    start("-p", str(pki.server.pem), "-d", f"127.0.0.1:{outer}", "-r", str(mail.port))
    start("-c", "-d", f"127.0.0.1:{inner}", "-r", f"127.0.0.1:{outer}")
    with socket.create_connection(("127.0.0.1", inner), timeout=15) as client:
        client.sendall(b"HELO book\r\n")
        assert client.recv(100) == b"HELO book\r\n"


def test_a_program_with_arguments(start: Start, pki: Pki, free_port: Callable[[], int]) -> None:
    port = free_port()
    start("-p", str(pki.server.pem), "-d", f"127.0.0.1:{port}", "-l", "/bin/echo", "--", "one", "two")
    with connect(port, client_context(str(pki.ca))) as peer:
        assert peer.receive_all() == b"one two\n"
