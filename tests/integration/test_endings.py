"""How connections end: in order, cut, reset, too late. Each side learns what happened to the other."""

import contextlib
import errno
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable

import pytest

from tests.integration.test_exchange import client_service, server_service
from tests.support import servers, tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]
ServerFactory = Callable[..., Server]


def ending(connection: socket.socket) -> str:
    """Read to the end: "fin", "rst" or what else came."""
    connection.settimeout(10)
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        return "rst"
    return "fin"


def ending_noted(notes: list[str]) -> servers.Handler:
    """A backend that reads to the end and notes what that was."""

    def handle(connection: socket.socket) -> None:
        notes.append(ending(connection))

    return handle


def soon(condition: Callable[[], bool]) -> bool:
    """Wait, ten seconds at most, for something that another thread brings about."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_truncated_stream_is_an_error_and_the_backend_is_reset(
    gtunnel: Tunnels, tls_version: str, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    notes: list[str] = []
    backend = server(ending_noted(notes))
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    with tls.connect(port, tls.client_context(version=tls_version)) as peer:
        peer.send(b"some of it")
        running.wait_for("connected remote server")
        peer.cut()
        assert soon(lambda: bool(notes))
    assert notes == ["rst"]
    running.wait_for("unexpected eof while reading")
    running.wait_for("Connection reset: 0 byte(s) sent to TLS, 10 byte(s) sent to socket")


def test_without_reset_the_backend_sees_an_ordinary_end(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    notes: list[str] = []
    backend = server(ending_noted(notes))
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint, "reset = no"))
    with tls.connect(port) as peer:
        peer.send(b"some of it")
        running.wait_for("connected remote server")
        peer.cut()
        assert soon(lambda: bool(notes))
    assert notes == ["fin"]
    running.wait_for("Connection reset: 0 byte(s) sent to TLS, 10 byte(s) sent to socket")


def test_an_openssl_option_forgives_a_missing_close_notify(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    notes: list[str] = []
    backend = server(ending_noted(notes))
    port = free_port()
    more = "options = IGNORE_UNEXPECTED_EOF"
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint, more))
    with tls.connect(port) as peer:
        peer.send(b"all of it")
        peer.cut()
        assert peer.receive_all() == b""
    assert soon(lambda: notes == ["fin"])
    running.wait_for("Connection closed: 0 byte(s) sent to TLS, 9 byte(s) sent to socket")


# stunnel passes both of these on as an ordinary end (docs/differences.md): the other side cannot tell what it lost.


def test_a_reset_on_the_plain_side_truncates_the_tls_stream(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    backend = server(reset)
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    with tls.connect(port) as peer:
        peer.send(b"hello")
        with pytest.raises((tls.TruncatedError, ConnectionResetError)):
            peer.receive_all()
    running.wait_for("Connection reset")


def test_a_reset_on_the_tls_side_resets_the_backend(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    notes: list[str] = []
    backend = server(ending_noted(notes))
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    peer = tls.connect(port)
    peer.send(b"hello")
    running.wait_for("connected remote server")
    peer.reset()
    assert soon(lambda: bool(notes))
    assert notes == ["rst"]


def test_a_target_that_refuses_ends_the_client_with_a_reset(
    tunnel: Tunnels, free_port: PortFactory
) -> None:
    port, nobody = free_port(), free_port()
    running = tunnel(client_service(f"127.0.0.1:{port}", f"127.0.0.1:{nobody}"))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert ending(connection) == "rst"
    running.wait_for(f"s_connect: connect 127.0.0.1:{nobody}: Connection refused ({errno.ECONNREFUSED})")
    running.wait_for("No more addresses to connect")
    running.wait_for("Connection reset: 0 byte(s) sent to TLS, 0 byte(s) sent to socket")


def test_a_silent_handshake_ends_after_timeout_busy(
    tunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    port = free_port()
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint, "TIMEOUTbusy = 1"))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        assert ending(connection) == "rst"
    running.wait_for("TIMEOUTbusy exceeded: sending reset")
    assert echo.peers == []


def test_a_handshake_that_drips_ends_after_timeout_busy_too(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint, "TIMEOUTbusy = 1"))
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500)
        for byte in hello:
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
            time.sleep(0.1)
    running.wait_for("TIMEOUTbusy exceeded: sending reset")
    assert time.monotonic() - began < 10


def test_an_idle_connection_ends_after_timeout_idle(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    notes: list[str] = []
    backend = server(ending_noted(notes))
    port = free_port()
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint, "TIMEOUTidle = 1"))
    with tls.connect(port) as peer:
        peer.send(b"hello")
        running.wait_for("TIMEOUTidle exceeded: sending reset")
        assert soon(lambda: bool(notes))
        with pytest.raises((tls.TruncatedError, ConnectionResetError)):
            peer.receive_all()
    assert notes == ["rst"]


def test_traffic_in_one_direction_keeps_a_connection_from_being_idle(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint, "TIMEOUTidle = 1"))
    with tls.connect(port) as peer:
        for _ in range(5):
            time.sleep(0.4)
            peer.send(b"x")
            assert peer.receive() == b"x"
        peer.close_notify()
        assert peer.receive_all() == b""
    running.wait_for("Connection closed: 5 byte(s)")


def test_a_peer_that_never_closes_is_left_after_timeout_close(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    backend = server(servers.source(b"all there is"))
    port = free_port()
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint, "TIMEOUTclose = 1"))
    with tls.connect(port) as peer:
        assert peer.receive_all() == b"all there is"
        running.wait_for("TIMEOUTclose exceeded: closing")
    running.wait_for("Connection closed: 12 byte(s) sent to TLS, 0 byte(s) sent to socket")


def test_timeout_close_zero_does_not_wait_at_all(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    backend = server(servers.source(b"all there is"))
    port = free_port()
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint, "TIMEOUTclose = 0"))
    with tls.connect(port) as peer:
        assert peer.receive_all() == b"all there is"
        running.wait_for("Connection closed: 12 byte(s) sent to TLS, 0 byte(s) sent to socket")


def test_a_target_that_does_not_answer_costs_timeout_connect(
    gtunnel: Tunnels, echo: Server, free_port: PortFactory
) -> None:
    # A listening socket with a full backlog does not answer.
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        dead = f"127.0.0.1:{full.getsockname()[1]}"
        port = free_port()
        running = gtunnel(client_service(f"127.0.0.1:{port}", dead, f"connect = {echo.endpoint}\nTIMEOUTconnect = 1"))
        with socket.create_connection(("127.0.0.1", port)):
            running.wait_for(f"s_connect: s_poll_wait {dead}: TIMEOUTconnect exceeded")
            running.wait_for(f"s_connect: connected {echo.endpoint}")
        for filler in fillers:
            filler.close()


def test_plain_http_on_a_tls_port_is_named(tunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    port = free_port()
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        ending(connection)
    running.wait_for("SSL routines::http request")


def test_a_slow_reader_slows_its_writer_down_and_loses_nothing(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    data = bytes(range(256)) * (16 << 10)
    backend = server(servers.source(data * 4))
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    with tls.connect(port) as peer:
        running.wait_for("connected remote server")
        time.sleep(1)
        # 16 MiB are on their way, and only what the kernel and one buffer hold has been taken.
        assert peer.receive_all() == data * 4
        peer.close_notify()
    running.wait_for(f"Connection closed: {len(data) * 4} byte(s) sent to TLS")


def test_an_early_answer_arrives_although_the_rest_of_the_question_is_refused(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    def answer_early(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"that is too much for me")
        # Closed with the rest unread: the kernel resets the connection.

    backend = server(answer_early)
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    complete = 0
    for number in range(1, 21):
        got = bytearray()
        with tls.connect(port) as peer:
            with contextlib.suppress(OSError):
                peer.send(bytes(200000))
            with contextlib.suppress(OSError, tls.TruncatedError):
                while data := peer.receive():
                    got += data
        complete += bytes(got) == b"that is too much for me"
        running.wait_for("Connection ", times=number)
    # The reset may overtake the answer on its way to the client; mostly it does not.
    assert complete >= 5


def test_each_side_may_close_at_any_stage(gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    tls_port, port = free_port(), free_port()
    running = gtunnel(
        server_service(pki, f"127.0.0.1:{tls_port}", echo.endpoint)
        + client_service(f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}")
    )
    rounds = 0
    for stage in ("connect", "send", "half", "receive"):
        for how in ("fin", "rst"):
            for target in (port, tls_port):
                rounds += 1
                connection = socket.create_connection(("127.0.0.1", target), timeout=10)
                if stage != "connect":
                    connection.sendall(b"\x16\x03\x01")
                if stage in ("half", "receive"):
                    connection.shutdown(socket.SHUT_WR)
                if stage == "receive":
                    select.select([connection], [], [], 5)
                if how == "rst":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
    # Each of them, and each connection that the client service made to the server service, comes to its end.
    assert soon(lambda: rounds < running.count("] started") == running.count("] finished"))
    assert "INTERNAL ERROR" not in running.output


def test_who_is_refused_in_the_handshake_reads_why_and_an_ordinary_end(
    tunnel: Tunnels, echo: Server, pki: Pki, free_port: PortFactory
) -> None:
    port = free_port()
    tunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint))
    context = tls.client_context(version="1.2")
    # Its certificate has an ECDSA key.
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    out = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(out.read())
        # RFC 8446, section 6: an alert, fatal, handshake_failure.
        assert connection.recv(7) == bytes.fromhex("15 0303 0002 02 28")
        assert ending(connection) == "fin"
