"""Protocols that begin in plaintext: gtunnel with itself and with stunnel4, and what comes in the way of TLS."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

import pytest

from tests.support import peers
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tls import TlsPeer, client_context
from tests.support.tunnels import Tunnels

GREETINGS = {
    "smtp": b"220 mail.example.org ESMTP\r\n",
    "imap": b"* OK ready\r\n",
    "pop3": b"+OK ready\r\n",
    "pgsql": b"",
    "cifs": b"",
}
STARTUP = struct.pack("!II", 18, 196608) + b"user\0me\0\0\0"


def plain_server(greeting: bytes) -> Callable[[socket.socket], None]:
    """A server without TLS: it greets, and sends back what it hears, up to QUIT."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(greeting)
        while data := connection.recv(65536):
            connection.sendall(data)
            if b"QUIT" in data:
                return

    return serve


def converse(port: int, greeting: bytes, said: bytes) -> tuple[bytes, bytes]:
    """Connect as a client without TLS: the greeting's line, and what the server sends back."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client, client.makefile("rb") as stream:
        line = stream.readline() if greeting else b""
        client.sendall(said)
        return line, stream.read(len(said))


@pytest.mark.parametrize("protocol", GREETINGS)
def test_a_client_and_a_server_speak_a_protocol(
    tunnel_pair: tuple[Tunnels, Tunnels],
    pki: Pki,
    server: Callable[..., Server],
    free_port: Callable[[], int],
    protocol: str,
) -> None:
    outer, inner = free_port(), free_port()
    greeting = GREETINGS[protocol]
    near, far = tunnel_pair
    target = server(plain_server(greeting))
    far(_far(protocol, outer, target, pki))
    near(
        f"[near]\nclient = yes\naccept = 127.0.0.1:{inner}\nconnect = 127.0.0.1:{outer}\nprotocol = {protocol}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\n"
    )
    line, echoed = converse(inner, greeting, STARTUP)
    assert line[:4] == greeting[:4]
    assert echoed == STARTUP


class Telling(socket.socket):
    """A socket that tells when something was sent; over loopback it has arrived then."""

    def __init__(self, connection: socket.socket, sent: threading.Event) -> None:
        super().__init__(fileno=connection.detach())
        self._sent = sent

    def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
        super().sendall(data, flags)
        self._sent.set()


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
def test_who_begins_with_tls_is_served_where_a_command_is_expected(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], protocol: str
) -> None:
    port, greeting, sent = free_port(), GREETINGS[protocol], threading.Event()

    def late(connection: socket.socket) -> None:
        sent.wait(15)
        plain_server(greeting)(connection)

    gtunnel(_far(protocol, port, server(late), pki))
    client = Telling(socket.create_connection(("127.0.0.1", port), timeout=15), sent)
    with TlsPeer(client, client_context(), server_hostname="localhost") as peer:
        assert peer.receive_exactly(len(greeting)) == greeting


@pytest.mark.parametrize(
    ("protocol", "asks", "injected"),
    [
        ("smtp", b"STARTTLS\r\n", b"MAIL FROM:<mallory@example.org>\r\n"),
        ("imap", b"a STARTTLS\r\n", b"b LOGIN mallory secret\r\n"),
        ("pop3", b"STLS\r\n", b"USER mallory\r\n"),
        ("pgsql", bytes.fromhex("0000000804d2162f"), STARTUP),
        ("cifs", b"\x81\0\0\0", b"\0\0\0\x04abcd"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_what_a_client_says_behind_its_request_never_reaches_the_target(
    gtunnel: Tunnels,
    pki: Pki,
    server: Callable[..., Server],
    free_port: Callable[[], int],
    protocol: str,
    asks: bytes,
    injected: bytes,
    *,
    at_once: bool,
) -> None:
    port, heard = free_port(), bytearray()

    def listen(connection: socket.socket) -> None:
        connection.sendall(GREETINGS[protocol])
        while data := connection.recv(65536):
            heard.extend(data)

    target = server(listen)
    tunnel = gtunnel(_far(protocol, port, target, pki))
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.recv(len(GREETINGS[protocol]))
        if at_once:
            client.sendall(asks + injected)
        else:
            client.sendall(asks)
            client.recv(100)
            client.sendall(injected)
        assert _rest(client).count(b"\x15\x03") <= 1
    tunnel.wait_for("the client went on in plaintext where TLS should begin (its bytes:")
    tunnel.wait_for("Connection reset")
    assert not heard


ANSWERS = {
    "smtp": (b"220 mail\r\n", b"EHLO", b"250 STARTTLS\r\n", b"STARTTLS", b"220 go\r\n"),
    "imap": (b"* OK mail\r\n", b"STARTTLS", b"GT1 OK go\r\n"),
    "pop3": (b"+OK mail\r\n", b"STLS", b"+OK go\r\n"),
    "nntp": (b"200 news\r\n", b"STARTTLS", b"382 go\r\n"),
    "ldap": (b"", b"1.3.6.1", bytes.fromhex("300c02010178070a010004000400")),
    "pgsql": (b"", b"\x04\xd2\x16\x2f", b"S"),
    "cifs": (b"", b"\x81", b"\x83\0\0\x01\x8e"),
}


@pytest.mark.parametrize("protocol", ANSWERS)
def test_what_a_server_says_behind_its_answer_never_reaches_the_client(
    gtunnel: Tunnels, server: Callable[..., Server], free_port: Callable[[], int], protocol: str
) -> None:
    port, script = free_port(), ANSWERS[protocol]

    def answer(connection: socket.socket) -> None:
        connection.sendall(script[0])
        for expected, reply in zip(script[1::2], script[2::2], strict=True):
            heard = b""
            while expected not in heard and (more := connection.recv(1000)):
                heard += more
            injected = b"" if reply is not script[-1] else b"250 Mallory\r\n"
            connection.sendall(reply + injected)
        connection.recv(1000)

    target = server(answer)
    tunnel = gtunnel(
        f"[near]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {target.endpoint}\nprotocol = {protocol}\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        assert b"Mallory" not in _rest(client)
    line = tunnel.wait_for("Plaintext came where TLS should begin: the server said 13 more byte(s), '250 Mallory")
    assert "LOG3[0]" in line
    tunnel.wait_for("Connection reset")


def test_a_service_of_a_name_speaks_with_the_target_of_the_one_that_listens(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    """The manual, option sni: the target greets before the client names a server."""
    port = free_port()
    first, second = server(plain_server(b"220 first\r\n")), server(plain_server(b"220 second\r\n"))
    conf = (
        f"{_far('smtp', port, first, pki)}"
        f"[virtual]\nsni = far:other.test\nconnect = {second.endpoint}\ncert = {pki.wrong_host.pem}\n"
    )
    tunnel = gtunnel(conf)
    said = peers.s_client(port, "-starttls", "smtp", "-servername", "other.test", "-quiet", send=b"NOOP\nQUIT\n")
    assert b"NOOP" in said.stdout
    tunnel.wait_for("SNI: switched to service [virtual]")
    assert not second.peers
    checked = gtunnel.run("check", gtunnel.configuration(conf))
    assert "its connect is not used: protocol = smtp of [far] connects before" in checked.stdout


def test_who_is_redirected_asked_for_tls_as_the_others_do(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    port = free_port()
    database, decoy = server(plain_server(b"")), server(plain_server(b""))
    gtunnel(
        f"{_far('pgsql', port, database, pki)}CAfile = {pki.ca}\nverifyChain = yes\nredirect = {decoy.endpoint}\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.sendall(bytes.fromhex("0000000804d2162f"))
        assert client.recv(1) == b"S"
        with TlsPeer(client, client_context(), server_hostname="localhost") as peer:
            peer.send(STARTUP)
            assert peer.receive_exactly(len(STARTUP)) == STARTUP
    assert (len(database.peers), len(decoy.peers)) == (0, 1)


def _far(protocol: str, port: int, target: Server, pki: Pki) -> str:
    return (
        f"[far]\naccept = 127.0.0.1:{port}\nconnect = {target.endpoint}\nprotocol = {protocol}\n"
        f"cert = {pki.server.pem}\n"
    )


def _rest(client: socket.socket) -> bytes:
    """All that comes until the other side ends it, one way or the other."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := client.recv(65536):
            data += more
    return data
