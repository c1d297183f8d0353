"""Services that serve names of another one, and have a protocol of their own: what follows TLS is theirs."""

import socket
from collections.abc import Callable

import pytest

from tests.support import servers, tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

Ports = Callable[[], int]
ServerFactory = Callable[..., Server]
ALLOWED = b"\x05\x00\x00\x01"
REFUSED = b"\x05\x02\x00\x01"


def greeter(text: bytes) -> Callable[[socket.socket], None]:
    """A server that says who it is, then what it hears."""

    def serve(sock: socket.socket) -> None:
        sock.sendall(text)
        servers.echo(sock)

    return serve


def request(host: str, port: int) -> bytes:
    return b"\x05\x01\x00\x01" + socket.inet_aton(host) + port.to_bytes(2, "big")


@pytest.fixture
def visit(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: Ports
) -> Callable[[str, str], tls.TlsPeer]:
    """`visit(protocol line of the primary, name)`: a connection to the service of that name."""
    plain, other = (server(greeter(text)).endpoint for text in (b"plain ", b"other "))
    cert = f"cert = {pki.server.pem}\n"

    def connect(primary: str, name: str) -> tls.TlsPeer:
        port = free_port()
        gtunnel(
            f"[main]\naccept = 127.0.0.1:{port}\n{primary or f'connect = {plain}'}\n{cert}"
            f"[www]\nsni = main:www.test\nconnect = {other}\n{cert}"
            f"[told]\nsni = main:told.test\nconnect = {other}\nprotocol = proxy\n{cert}"
            f"[socks]\nsni = main:socks.test\nprotocol = socks\nsocksTargets = allow 127.0.0.1\n{cert}"
        )
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        return tls.TlsPeer(sock, tls.client_context(), server_hostname=name)

    return connect


@pytest.mark.parametrize("primary", ["", "protocol = socks\nsocksTargets = deny *"])
@pytest.mark.parametrize("name", ["www.test", "told.test", "socks.test"])
def test_what_follows_tls_is_the_protocol_of_the_service_for_the_name(
    visit: Callable[[str, str], tls.TlsPeer], server: ServerFactory, primary: str, name: str
) -> None:
    host, _, port = server(greeter(b"target ")).endpoint.rpartition(":")
    with visit(primary, name) as peer:
        if name == "socks.test":
            peer.send(b"\x05\x01\x00")
            assert peer.receive_exactly(2) == b"\x05\x00"
            peer.send(request(host, int(port)))
            assert peer.receive_exactly(10)[:4] == ALLOWED
            assert peer.receive_exactly(7) == b"target "
            return
        assert peer.receive_exactly(6) == b"other "
        if name == "told.test":
            assert peer.receive_exactly(27) == b"PROXY TCP4 127.0.0.1 127.0."
        else:
            peer.send(b"hello")
            assert peer.receive_exactly(5) == b"hello"


def test_who_names_no_server_is_the_primarys(visit: Callable[[str, str], tls.TlsPeer]) -> None:
    with visit("protocol = socks\nsocksTargets = deny *", "main.test") as peer:
        peer.send(b"\x05\x01\x00")
        assert peer.receive_exactly(2) == b"\x05\x00"
        peer.send(request("127.0.0.1", 1))
        assert peer.receive_exactly(10)[:4] == REFUSED


def test_who_does_not_convince_does_not_keep_a_target_that_was_connected_before(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: Ports
) -> None:
    mail, elsewhere = server(greeter(b"220 mail.test ESMTP\r\n")), server(greeter(b"elsewhere"))
    port, cert = free_port(), f"cert = {pki.server.pem}\n"
    daemon = gtunnel(
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {mail.endpoint}\nprotocol = smtp\n{cert}"
        f"[inner]\nsni = main:inner.test\nconnect = {mail.endpoint}\nredirect = {elsewhere.endpoint}\n"
        f"verifyChain = yes\nCAfile = {pki.ca}\n{cert}"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        reader = sock.makefile("rb")
        assert reader.readline().startswith(b"220")
        sock.sendall(b"STARTTLS\r\n")
        assert reader.readline().startswith(b"220")
        try:
            with tls.TlsPeer(sock, tls.client_context(), server_hostname="inner.test") as peer:
                peer.send(b"QUIT\r\n")
                assert peer.receive() == b""
        except OSError:
            pass
    daemon.wait_for("has connected this client before TLS: refused")
