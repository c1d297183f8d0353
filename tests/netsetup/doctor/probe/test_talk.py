"""The probe's two ends, over loopback."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from netsetup.doctor.probe.talk import GREETING, Client, Server
from tests.support.certificates import Pki
from tests.support.ports import free_port


def until(condition: Callable[[], object], *ends: Client | Server) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        for end in ends:
            end.turn()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def server() -> Iterator[tuple[Server, int]]:
    port = free_port()
    made = Server(4, "127.0.0.1", port)
    yield made, port
    made.close()


def test_a_client_is_greeted(server: tuple[Server, int]) -> None:
    serving, port = server
    client = Client(4, "127.0.0.1", "127.0.0.1", port)
    assert not client.connected()
    client.begin()
    until(lambda: serving.peers, client, serving)
    assert client.connected()
    assert not client.received
    serving.greet()
    until(lambda: client.received, client, serving)
    assert client.received == GREETING
    assert serving.peers == [("127.0.0.1", client.port)]
    assert not serving.was_asked_for_tls
    client.close()


def test_a_server_knows_a_client_hello(server: tuple[Server, int]) -> None:
    serving, port = server
    client = Client(4, "127.0.0.1", "127.0.0.1", port)
    client.begin()
    until(client.connected, client, serving)
    client.speak_tls()
    until(lambda: serving.was_asked_for_tls, client, serving)
    assert client.speaks_tls
    client.close()


def test_a_client_that_is_refused_says_why() -> None:
    client = Client(4, "127.0.0.1", "127.0.0.1", free_port())
    client.begin()
    until(lambda: client.connected() or client.ended, client)
    assert client.ended == "Connection refused"
    client.close()


def test_a_client_speaks_tls_with_whoever_answers(pki: Pki) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server.cert, pki.server.key)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, context.wrap_socket(connection, server_side=True) as tls:
                tls.sendall(b"over TLS")
                tls.settimeout(20)
                with contextlib.suppress(OSError):
                    tls.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        client = Client(4, "127.0.0.1", "127.0.0.1", listener.getsockname()[1])
        client.begin()
        until(client.connected, client)
        client.speak_tls()
        until(lambda: client.received, client)
        assert client.received == b"over TLS"
        client.close()
        thread.join()
