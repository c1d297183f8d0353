"""What is told of a connection: who, whom, by what TLS, how much."""

import socket
import threading
from collections.abc import Callable

import pytest

from gtunnel.address import HostPort, OriginalDestination, SocketAddress, UnixPath
from gtunnel.conf.settings import ServiceSettings
from gtunnel.net.loops import LoopGuard
from gtunnel.net.transparency import Accepted
from gtunnel.tunnel import particulars
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.connection import Connection
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.gtunnel.tunnel.pairing import Pair, accepted_pair
from tests.support import tls
from tests.support.certificates import Pki
from tests.support.servers import Server

pair = pytest.fixture(accepted_pair)


def connection(settings: ServiceSettings, accepted: Accepted | None) -> Connection:
    return Connection(
        compile_service(settings, None, LoopGuard(), ListLog()), accepted, Workplace(SharedCounter())
    )


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (SocketAddress("192.0.2.1", 25), "192.0.2.1:25"),
        (SocketAddress("2001:db8::1", 25), "[2001:db8::1]:25"),
        (SocketAddress("fe80::1", 25, 3), "[fe80::1%3]:25"),
        (UnixPath("/run/x"), "/run/x"),
        (HostPort("example.org", 25), "example.org:25"),
    ],
)
def test_addresses_are_as_everybody_writes_them(address: SocketAddress, text: str) -> None:
    assert particulars.shown(address) == text


def test_a_connection_that_has_just_begun_has_a_client_and_nothing_else(pair: Pair) -> None:
    accepted, far = pair
    begun = connection(service("client = yes\naccept = 1\nconnect = 2"), accepted)
    begun.sides.scene.destination = OriginalDestination(SocketAddress("198.51.100.2", 80))
    found = particulars.of(begun)
    assert (found.service, found.identifier) == ("test", "0")
    assert found.client == f"127.0.0.1:{far.getsockname()[1]}"
    assert found.destination == "198.51.100.2:80"
    assert {found.target, found.tls, found.cipher, found.sni, found.subject} == {None}
    assert (found.to_target, found.to_client) == (0, 0)
    assert 0 <= found.seconds < 60
    accepted.sock.close()


def test_without_an_address_a_client_is_named_by_its_kind(pair: Pair) -> None:
    near, _ = pair
    settings = service("client = yes\naccept = 1\nconnect = 2")
    assert particulars.of(connection(settings, Accepted(near.sock, None, None))).client == "unix"
    program = service("client = yes\nexec = /bin/true\nconnect = 2")
    assert particulars.of(connection(program, None)).client == "exec:/bin/true"
    near.sock.close()


def test_a_connection_with_tls_has_it_all(pair: Pair, pki: Pki, server: Callable[..., Server]) -> None:
    accepted, far = pair
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    settings = service(
        f"client = yes\naccept = 1\nconnect = {backend.endpoint}\nsni = localhost\nverifyChain = yes\nCAfile = {pki.ca}"
    )
    served = connection(settings, accepted)

    def talk() -> None:
        far.sendall(b"hello")
        far.shutdown(socket.SHUT_WR)
        assert far.recv(100) == b"hello"

    thread = threading.Thread(target=talk)
    thread.start()
    served.serve()
    thread.join()
    found = particulars.of(served)
    assert found.target == backend.endpoint
    assert found.tls == "TLSv1.3"
    assert found.cipher is not None
    assert found.cipher.startswith("TLS_")
    assert found.sni == "localhost"
    assert found.subject is not None
    assert "localhost" in found.subject
    assert (found.to_target, found.to_client) == (5, 5)


def test_the_peer_has_no_name_where_nobody_verified_it(pair: Pair, pki: Pki, server: Callable[..., Server]) -> None:
    accepted, far = pair
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    served = connection(service(f"client = yes\naccept = 1\nconnect = {backend.endpoint}"), accepted)
    far.shutdown(socket.SHUT_WR)
    served.serve()
    found = particulars.of(served)
    assert found.tls is not None
    assert found.subject is None


def test_a_program_is_a_target_by_its_path(pair: Pair, pki: Pki) -> None:
    accepted, far = pair
    settings = service(f"accept = 1\nexec = /bin/cat\ncert = {pki.server.pem}")
    served = connection(settings, accepted)

    def talk() -> None:
        with tls.TlsPeer(far, tls.client_context(), server_hostname="localhost") as peer:
            peer.send(b"hello")
            peer.close_notify()
            assert peer.receive_all() == b"hello"

    thread = threading.Thread(target=talk)
    thread.start()
    served.serve()
    thread.join()
    found = particulars.of(served)
    assert (found.target, found.sni) == ("exec:/bin/cat", "localhost")
    assert (found.to_target, found.to_client) == (5, 5)


