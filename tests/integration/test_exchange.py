"""The main job: bytes arrive, in every pairing of gtunnel and stunnel4 and with other peers, in TLS 1.2 and 1.3."""

import os
import queue
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import peers, servers, tls
from tests.support.certificates import Pki
from tests.support.servers import Seen, Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]
ServerFactory = Callable[..., Server]

SIZE = 8 << 20
VERSION = {"1.2": "TLSv1.2", "1.3": "TLSv1.3"}


def send_and_end(port: int, data: bytes, host: str = "127.0.0.1") -> bytes:
    """Send all, end our direction, and read to the end, both at once."""
    with socket.create_connection((host, port), timeout=20) as connection:
        return exchange(connection, data)


def send_then_end(port: int, data: bytes) -> bytes:
    """Send all while reading as much, and only then end our direction.

    With stunnel4 as server: it sometimes drops what its backend sent last when the backend has closed and the client
    has ended before (docs/differences.md).
    """
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        pusher = threading.Thread(target=connection.sendall, args=(data,))
        pusher.start()
        got = bytearray()
        while len(got) < len(data) and (part := connection.recv(1 << 16)):
            got += part
        pusher.join()
        connection.shutdown(socket.SHUT_WR)
        got += connection.recv(1)
        return bytes(got)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """The same on a connection that is there."""

    def push() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    pusher = threading.Thread(target=push)
    pusher.start()
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    pusher.join()
    return b"".join(parts)


def server_service(pki: Pki, accept: object, connect: object, more: str = "") -> str:
    """A server-mode service."""
    files = f"cert = {pki.server.cert}\nkey = {pki.server.key}"
    return f"[server]\naccept = {accept}\nconnect = {connect}\n{files}\n{more}\n"


def client_service(accept: object, connect: object, more: str = "") -> str:
    """A client-mode service."""
    return f"[client]\nclient = yes\naccept = {accept}\nconnect = {connect}\n{more}\n"


def test_eight_mebibytes_each_way_through_both_services(
    tunnel_pair: tuple[Tunnels, Tunnels], tls_version: str, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    client, server = tunnel_pair
    tls_port, plain_port = free_port(), free_port()
    version = f"sslVersion = {VERSION[tls_version]}"
    serving = server(server_service(pki, f"127.0.0.1:{tls_port}", echo.endpoint, version))
    calling = client(client_service(f"127.0.0.1:{plain_port}", f"127.0.0.1:{tls_port}", version))
    data = os.urandom(SIZE)
    assert send_then_end(plain_port, data) == data
    end = f"Connection closed: {SIZE} byte(s) sent to TLS, {SIZE} byte(s) sent to socket"
    calling.wait_for(end)
    serving.wait_for(end)
    assert f"{VERSION[tls_version]} ciphersuite" in serving.output


def test_an_answer_after_our_end_arrives(
    tunnel_pair: tuple[Tunnels, Tunnels], server: ServerFactory, pki: Pki, free_port: PortFactory
) -> None:
    client, serving = tunnel_pair
    if serving.kind == "stunnel4":
        pytest.skip("stunnel4 may drop the answer of a backend that closes at once (docs/differences.md)")
    seen: list[Seen] = []
    backend = server(servers.reply_after_end(b"answer" * 10000, seen))
    tls_port, plain_port = free_port(), free_port()
    serving(server_service(pki, f"127.0.0.1:{tls_port}", backend.endpoint))
    client(client_service(f"127.0.0.1:{plain_port}", f"127.0.0.1:{tls_port}"))
    assert send_and_end(plain_port, b"question" * 10000) == b"answer" * 10000
    assert seen[0].size == 80000


def test_a_server_that_ends_first_still_hears_the_client(
    tunnel_pair: tuple[Tunnels, Tunnels], server: ServerFactory, pki: Pki, free_port: PortFactory
) -> None:
    client, serving = tunnel_pair
    heard: queue.Queue[bytes] = queue.Queue()

    def greet_then_listen(connection: socket.socket) -> None:
        connection.sendall(b"greeting")
        connection.shutdown(socket.SHUT_WR)
        parts = []
        while data := connection.recv(65536):
            parts.append(data)
        heard.put(b"".join(parts))

    backend = server(greet_then_listen)
    tls_port, plain_port = free_port(), free_port()
    serving(server_service(pki, f"127.0.0.1:{tls_port}", backend.endpoint))
    client(client_service(f"127.0.0.1:{plain_port}", f"127.0.0.1:{tls_port}"))
    with socket.create_connection(("127.0.0.1", plain_port), timeout=10) as connection:
        assert connection.recv(100) == b"greeting"
        assert connection.recv(100) == b""
        connection.sendall(b"late" * 50000)
    assert heard.get(timeout=10) == b"late" * 50000


def test_openssl_s_client_talks_to_a_server_service(
    gtunnel: Tunnels, tls_version: str, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    def answer_a_line(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100).upper())

    backend = server(answer_a_line)
    port = free_port()
    gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    option = "-tls1_2" if tls_version == "1.2" else "-tls1_3"
    done = peers.s_client(port, option, "-CAfile", str(pki.ca), "-verify_return_error", send=b"hello\n")
    assert b"HELLO" in done.stdout
    assert b"Verification: OK" in done.stdout


def test_a_client_service_talks_to_openssl_s_server(
    gtunnel: Tunnels, tls_version: str, pki: Pki, free_port: PortFactory
) -> None:
    tls_port, port = free_port(), free_port()
    option = "-tls1_2" if tls_version == "1.2" else "-tls1_3"
    with peers.s_server(pki.server, tls_port, option, "-rev"):
        gtunnel(client_service(f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}", f"verifyChain = yes\nCAfile = {pki.ca}"))
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(b"hello\n")
            assert connection.recv(100) == b"olleh\n"


def test_curl_over_a_client_service_gets_a_page_from_nginx(
    gtunnel: Tunnels, tls_version: str, pki: Pki, tmp_path: Path, free_port: PortFactory
) -> None:
    tls_port, port = free_port(), free_port()
    page = os.urandom(1 << 20).hex()
    (tmp_path / "page").write_text(page)
    http = (
        f"server {{ listen 127.0.0.1:{tls_port} ssl; root {tmp_path}; ssl_protocols {VERSION[tls_version]};\n"
        f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key}; }}"
    )
    with peers.nginx(tmp_path / "nginx", http=http):
        gtunnel(client_service(f"127.0.0.1:{port}", f"localhost:{tls_port}", f"verifyChain = yes\nCAfile = {pki.ca}"))
        done = peers.curl(f"http://127.0.0.1:{port}/page")
    assert done.returncode == 0, done.stderr
    assert done.stdout == page


def test_curl_speaks_https_through_a_server_service_to_nginx(
    gtunnel: Tunnels, pki: Pki, tmp_path: Path, free_port: PortFactory
) -> None:
    plain, port = free_port(), free_port()
    (tmp_path / "page").write_text("the page")
    with peers.nginx(tmp_path / "nginx", http=f"server {{ listen 127.0.0.1:{plain}; root {tmp_path}; }}"):
        gtunnel(server_service(pki, f"127.0.0.1:{port}", plain))
        done = peers.curl("--cacert", str(pki.ca), f"https://localhost:{port}/page", f"https://localhost:{port}/page")
    assert done.stdout == "the pagethe page", done.stderr


def test_haproxy_terminates_what_a_client_service_sends(
    gtunnel: Tunnels, pki: Pki, tmp_path: Path, echo: Server, free_port: PortFactory
) -> None:
    tls_port, port = free_port(), free_port()
    conf = f"listen l\n  bind 127.0.0.1:{tls_port} ssl crt {pki.server.pem}\n  server s {echo.endpoint}"
    with peers.haproxy(tmp_path / "haproxy", conf, [tls_port]):
        gtunnel(client_service(f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}"))
        data = os.urandom(1 << 20)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            pusher = threading.Thread(target=connection.sendall, args=(data,))
            pusher.start()
            got = b""
            while len(got) < len(data):
                got += connection.recv(1 << 16)
            pusher.join()
    assert got == data


def test_a_session_resumes_whichever_worker_takes_it(
    gtunnel: Tunnels, tls_version: str, pki: Pki, server: ServerFactory, tmp_path: Path, free_port: PortFactory
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"ok\n")

    backend = server(answer)
    port = free_port()
    running = gtunnel("workers = 3\n" + server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    session = tmp_path / "session"
    option = "-tls1_2" if tls_version == "1.2" else "-tls1_3"
    peers.s_client(port, option, "-sess_out", str(session), send=b"x\n")
    for _ in range(8):
        done = peers.s_client(port, option, "-sess_in", str(session), send=b"x\n")
        assert b"Reused, " in done.stdout
    running.wait_for("TLS accepted: previous session reused", times=8)


def test_many_connections_at_once_do_not_mix(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    tls_port, port = free_port(), free_port()
    gtunnel(
        server_service(pki, f"127.0.0.1:{tls_port}", echo.endpoint)
        + client_service(f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}"),
        preamble="foreground = yes\npid =\nsyslog = no\ndebug = info\n",
    )
    wrong: list[int] = []

    def one(number: int) -> None:
        data = number.to_bytes(4, "big") * (1000 + number * 37)
        if send_and_end(port, data) != data:
            wrong.append(number)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_message_arrives_before_the_next_one_is_sent(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    tls_port = free_port()
    gtunnel(server_service(pki, f"127.0.0.1:{tls_port}", echo.endpoint))
    with tls.connect(tls_port) as peer:
        for size in (1, 2, 16383, 16384, 16385, 65535, 65536, 65537, 300000):
            data = os.urandom(size)
            peer.send(data)
            assert peer.receive_exactly(size) == data


def test_socat_sees_a_close_notify_at_the_end(gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    port = free_port()
    gtunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint))
    done = subprocess.run(
        ["socat", "-t", "5", "-", f"OPENSSL:127.0.0.1:{port},verify=0"],
        input=b"hello" * 1000,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.stdout == b"hello" * 1000, done.stderr
