"""What an administrator reads when a handshake fails, and what he is spared: real peers, one line each."""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import needs, peers, ports, tls
from tests.support.certificates import Pki, Wish
from tests.support.daemon import Daemon
from tests.support.servers import Server, source
from tests.support.tunnels import PREAMBLE, Tunnels
from tests.support.visits import backend, visit

ServerFactory = Callable[..., Server]
PortFactory = Callable[[], int]

# What comes later at a start is told at higher levels only.
READY = "Configuration successful"
QUIET = PREAMBLE.replace("debug = debug", "debug = 5")


@pytest.fixture
def serving(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> Callable[..., tuple[Daemon, int]]:
    """`serving(more)`: a server service at debug = 5, and its port."""
    inside = server(backend("inside")).endpoint

    def start(more: str = "") -> tuple[Daemon, int]:
        port = free_port()
        conf = (
            f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\n"
            f"cert = {pki.server.cert}\nkey = {pki.server.key}\n{more}"
        )
        running = gtunnel(conf, preamble=QUIET, ready=READY)
        ports.wait_for_port(port)
        return running, port

    return start


Serving = Callable[..., tuple[Daemon, int]]


def says(port: int, data: bytes, *, leave: bool = False) -> None:
    """Say something that is no TLS, and read to the end."""
    with (
        contextlib.suppress(ConnectionResetError),
        socket.create_connection(("127.0.0.1", port), timeout=15) as connection,
    ):
        connection.sendall(data)
        if leave:
            connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "peer spoke plain HTTP on a TLS port"),
        (b"CONNECT x:1 HTTP/1.1\r\n\r\n", "peer took us for an HTTP proxy"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "peer spoke SSH on a TLS port"),
        (b"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "peer sent a PROXY header"),
        (b"EHLO x.test\r\n", "peer spoke plain SMTP on a TLS port"),
        (b"\x05\x01\x00", "peer spoke SOCKS 5 on a TLS port"),
        (b"nonsense that is long enough\r\n", "peer does not speak TLS (its first bytes: 6e 6f 6e 73 65 6e 73 65)"),
    ],
)
def test_who_speaks_something_else(serving: Serving, data: bytes, told: str) -> None:
    running, port = serving()
    says(port, data)
    running.wait_for(told)
    running.wait_for("Connection reset")
    lines = _of_connections(running)
    assert "accepted connection from" in lines[0]
    assert sum(told in line for line in lines) == 1
    assert len(lines) == 3


def test_curl_without_https(serving: Serving) -> None:
    running, port = serving()
    peers.curl(f"http://127.0.0.1:{port}/")
    running.wait_for("peer spoke plain HTTP on a TLS port")


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        ("sslVersionMin = TLSv1.3\n", ("-tls1_2",), "client offers TLS 1.2 at most, sslVersionMin is TLSv1.3"),
        ("sslVersionMax = TLSv1.2\n", ("-tls1_3",), "client offers TLS 1.3 at least, sslVersionMax is TLSv1.2"),
        (
            "",
            ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
            "client offers TLS 1.1 at most",
        ),
        (
            "ciphers = ECDHE-ECDSA-AES256-GCM-SHA384\nsslVersionMax = TLSv1.2\n",
            ("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"),
            "peer offers ECDHE-ECDSA-AES128-GCM-SHA256",
        ),
        ("curves = X25519\n", ("-tls1_3", "-groups", "P-384"), "peer offers groups P-384"),
    ],
    ids=["too old", "too new", "very old", "no cipher", "no group"],
)
def test_what_a_client_offers_is_named(serving: Serving, lines: str, options: tuple[str, ...], told: str) -> None:
    running, port = serving(lines)
    assert visit(port, *options).reached == ""
    running.wait_for(told)


def test_what_is_wrong_with_a_client_s_certificate(serving: Serving, pki: Pki, tls_version: str) -> None:
    running, port = serving(f"verifyChain = yes\nCAfile = {pki.ca}\n")
    only = f"-tls{tls_version.replace('.', '_')}"
    visit(port, only)
    running.wait_for("client has no certificate, or none of the CAs in CAfile")
    expired = pki.authority.issue(Wish(name="old", client=True, expired=True))
    visit(port, only, "-cert", str(expired.cert), "-key", str(expired.key))
    assert "certificate has expired (" in running.wait_for("certificate verify failed")


def test_a_client_that_does_not_trust_us(serving: Serving, pki: Pki, tls_version: str) -> None:
    running, port = serving()
    only = f"-tls{tls_version.replace('.', '_')}"
    visit(port, only, "-verify_return_error", "-CAfile", str(pki.stranger.ca_file))
    running.wait_for("peer does not trust the issuer of our certificate")


# --- as a client


@pytest.mark.parametrize(
    ("greeting", "told"),
    [
        (b"220 mail.test ESMTP\r\n", "server greeted in plain SMTP (or FTP)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "server spoke SSH, not TLS"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "server spoke plain HTTP"),
        (b"* OK IMAP4 ready\r\n", "server greeted in plain IMAP"),
    ],
)
def test_a_server_that_speaks_something_else(
    gtunnel: Tunnels, server: ServerFactory, free_port: PortFactory, greeting: bytes, told: str
) -> None:
    port = free_port()
    running = gtunnel(
        f"[out]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {server(source(greeting)).endpoint}\n",
        preamble=QUIET,
        ready=READY,
    )
    ports.wait_for_port(port)
    says(port, b"")
    running.wait_for(told)


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        ("sslVersion = TLSv1.2\n", ("-tls1_3",), "peer speaks none of the TLS versions that we offer"),
        ("sslVersion = TLSv1.3\n", ("-tls1_3", "-Verify", "1"), "server demands a client certificate: set cert"),
        ("sslVersion = TLSv1.2\n", ("-tls1_2", "-Verify", "1"), "demands a client certificate"),
    ],
)
def test_what_a_server_refuses(
    gtunnel: Tunnels, pki: Pki, free_port: PortFactory, lines: str, options: tuple[str, ...], told: str
) -> None:
    port, mine = free_port(), free_port()
    with peers.s_server(pki.server, port, "-rev", "-CAfile", str(pki.ca), "-verify_return_error", *options):
        running = gtunnel(
            f"[out]\nclient = yes\naccept = 127.0.0.1:{mine}\nconnect = 127.0.0.1:{port}\n{lines}",
            preamble=QUIET,
            ready=READY,
        )
        ports.wait_for_port(mine)
        says(mine, b"x\n")
        running.wait_for(told)


def test_a_server_whose_certificate_has_expired(gtunnel: Tunnels, pki: Pki, free_port: PortFactory) -> None:
    port, mine = free_port(), free_port()
    with peers.s_server(pki.expired, port, "-rev"):
        running = gtunnel(
            f"[out]\nclient = yes\naccept = 127.0.0.1:{mine}\nconnect = 127.0.0.1:{port}\nverifyChain = yes\n"
            f"CAfile = {pki.ca}\n",
            preamble=QUIET,
            ready=READY,
        )
        ports.wait_for_port(mine)
        says(mine, b"x\n")
        assert "certificate has expired (" in running.wait_for("certificate verify failed")


# --- probes


def _of_connections(running: Daemon) -> list[str]:
    """The lines after the start."""
    lines = running.output.splitlines()
    ready = max(number for number, line in enumerate(lines) if READY in line)
    return lines[ready + 1 :]


def test_probes_leave_nothing(serving: Serving, tmp_path: Path, free_port: PortFactory) -> None:
    running, port = serving()
    for _ in range(5):
        # As nc -z, then a half-open scan's reset, then one that ends only its own direction.
        socket.create_connection(("127.0.0.1", port), timeout=15).close()
        with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
            connection.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
    front = free_port()
    check = f"server it 127.0.0.1:{port} check inter 100ms"
    with peers.haproxy(tmp_path / "haproxy", f"listen one\n  bind 127.0.0.1:{front}\n  {check}", [front]):
        assert needs.program("haproxy")
        for _ in range(3):
            assert visit(front).reached == "inside"
    # Real clients are all that the log knows of. haproxy was probed itself, once, to see whether it listens.
    running.wait_for("Connection closed", times=3)
    lines = _of_connections(running)
    assert sum("accepted connection from" in line for line in lines) == 3
    assert not any("reset" in line.lower() or "left" in line for line in lines)


def test_a_client_is_announced_before_anything_else(serving: Serving) -> None:
    running, port = serving()
    with tls.connect(port) as peer:
        assert peer.receive_exactly(15) == b"reached:inside\n"
    running.wait_for("] connected remote server")
    assert "accepted connection from" in _of_connections(running)[0]


def test_who_begins_a_hello_and_leaves_is_told_of(serving: Serving) -> None:
    running, port = serving()
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client_context().wrap_bio(into, out)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = out.read()
    for part in (hello[:1], hello[:5], hello[:-1]):
        says(port, part, leave=True)
    running.wait_for("peer closed the connection during the handshake", times=3)
