"""What a handshake agrees on, seen by openssl: ciphers, groups, versions, options; and what refuses to start."""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.conftest import KINDS
from tests.support import needs, peers, ports, tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]
ServerFactory = Callable[..., Server]

PREAMBLE = "foreground = yes\npid =\nsyslog = no\ndebug = info\n"
REFUSED = "refused"

A128, A256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"
S128, S256, CHACHA = "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"
OLD = "ciphers = ALL:@SECLEVEL=0\nsecurityLevel = 0\nsslVersionMin = TLSv1"


@dataclass(frozen=True)
class Row:
    """A service's settings, what openssl asks for, and what it gets: version, cipher, perhaps the group."""

    settings: str
    openssl: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.settings or 'nothing'} | {self.openssl or 'nothing'}".replace("\n", ", ")


SERVER_MODE = (
    Row("", "", f"TLSv1.3 {S256}"),
    Row("", "-tls1_2", f"TLSv1.2 {A256}"),
    Row(f"ciphers = {A128}", "-tls1_2", f"TLSv1.2 {A128}"),
    Row(f"ciphers = {A128}", f"-tls1_2 -cipher {A256}", REFUSED),
    Row(f"ciphers = {A128}", "-tls1_3", f"TLSv1.3 {S256}"),
    Row(f"ciphersuites = {CHACHA}", "-tls1_3", f"TLSv1.3 {CHACHA}"),
    Row(f"ciphersuites = {S128}", f"-tls1_3 -ciphersuites {S256}", REFUSED),
    Row(f"ciphersuites = {S128}", "-tls1_2", f"TLSv1.2 {A256}"),
    Row("curves = P-384", "-tls1_3", f"TLSv1.3 {S256} secp384r1"),
    Row("curves = P-384", "-tls1_3 -groups X25519", REFUSED),
    Row("curves = P-384", "-tls1_2", f"TLSv1.2 {A256} secp384r1"),
    Row("curve = P-521:X25519", "-tls1_3 -groups X25519:P-521", f"TLSv1.3 {S256} X25519"),
    Row("sslVersion = TLSv1.2", "", f"TLSv1.2 {A256}"),
    Row("sslVersion = TLSv1.2", "-tls1_3", REFUSED),
    Row("sslVersion = TLSv1.3", "-tls1_2", REFUSED),
    Row("sslVersionMin = TLSv1.3", "", f"TLSv1.3 {S256}"),
    Row("sslVersionMin = TLSv1.3", "-tls1_2", REFUSED),
    Row("sslVersionMax = TLSv1.2", "", f"TLSv1.2 {A256}"),
    Row("sslVersionMax = TLSv1.2", "-tls1_3", REFUSED),
    Row("options = NO_TLSv1_3", "", f"TLSv1.2 {A256}"),
    Row("options = NO_TLSv1_3\noptions = -NO_TLSv1_3", "", f"TLSv1.3 {S256}"),
    Row("options = NO_TLSv1_2", "-tls1_2", REFUSED),
    Row(f"ciphers = {A128}:{A256}", f"-tls1_2 -cipher {A256}:{A128}", f"TLSv1.2 {A256}"),
    Row(
        f"ciphers = {A128}:{A256}\noptions = CIPHER_SERVER_PREFERENCE",
        f"-tls1_2 -cipher {A256}:{A128}",
        f"TLSv1.2 {A128}",
    ),
    # The security level, not the configured version, is what keeps TLS 1.1 out.
    Row("sslVersionMin = TLSv1", "-tls1_1 -cipher ALL:@SECLEVEL=0", REFUSED),
    Row(OLD, "-tls1_1 -cipher ALL:@SECLEVEL=0", "TLSv1.1 ECDHE-ECDSA-AES256-SHA"),
)

CLIENT_MODE = (
    Row("", "", f"TLSv1.3 {S256}"),
    Row("", "-tls1_2", f"TLSv1.2 {A256}"),
    Row(f"ciphers = {A128}", "-tls1_2", f"TLSv1.2 {A128}"),
    Row(f"ciphers = {A128}", f"-tls1_2 -cipher {A256}", REFUSED),
    Row(f"ciphersuites = {CHACHA}:{S128}", "", f"TLSv1.3 {CHACHA}"),
    Row(f"ciphersuites = {CHACHA}", f"-tls1_3 -ciphersuites {S256}", REFUSED),
    Row("curves = P-384", "-tls1_3 -groups X25519", REFUSED),
    Row("sslVersionMax = TLSv1.2", "", f"TLSv1.2 {A256}"),
    Row("sslVersionMin = TLSv1.3", "-tls1_2", REFUSED),
    Row("options = NO_TLSv1_3", "", f"TLSv1.2 {A256}"),
    Row("securityLevel = 5\nsslVersion = TLSv1.2", "", REFUSED),
)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The program: everything runs with gtunnel, and with stunnel4."""
    if request.param == "stunnel4":
        needs.program("stunnel4")
    return str(request.param)


@pytest.fixture(scope="module")
def serving(kind: str, pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, int]]:
    """The port of the service with each of the settings of SERVER_MODE, all in one process."""
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("serving"))
    numbers = {row.settings: ports.free_port() for row in SERVER_MODE}
    with Server(echo_lines) as backend:
        conf = "".join(
            f"[{port}]\naccept = 127.0.0.1:{port}\nconnect = {backend.endpoint}\ncert = {pki.server.pem}\n{settings}\n"
            for settings, port in numbers.items()
        )
        tunnels(conf, preamble=PREAMBLE)
        yield numbers
        tunnels.close()


def echo_lines(connection: socket.socket) -> None:
    """Answer once, and end: s_client ends then, too."""
    connection.sendall(connection.recv(100))


@pytest.mark.parametrize("row", SERVER_MODE, ids=str)
def test_a_server_agrees_with_s_client(serving: Mapping[str, int], row: Row) -> None:
    done = peers.s_client(serving[row.settings], *row.openssl.split(), send=b"hello\n")
    output = done.stdout.decode()
    if row.outcome == REFUSED:
        assert "Cipher is (NONE)" in output
        assert b"alert" in done.stderr
        return
    version, cipher, *group = row.outcome.split()
    assert f"Cipher is {cipher}\n" in output
    assert re.search(rf"(New, {version}, |Protocol +: {version}\n)", output), output
    assert all(re.search(rf"Server Temp Key: .*{name}", output) for name in group), output
    assert "hello" in output


@pytest.mark.parametrize("row", CLIENT_MODE, ids=str)
def test_a_client_agrees_with_s_server(tunnel: Tunnels, pki: Pki, free_port: PortFactory, row: Row) -> None:
    tls_port, port = free_port(), free_port()
    with peers.s_server(pki.server, tls_port, "-rev", *row.openssl.split()):
        conf = f"[c]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{tls_port}\n{row.settings}\n"
        running = tunnel(conf, preamble=PREAMBLE)
        answer = b""
        # Refused before we look, perhaps.
        with (
            contextlib.suppress(ConnectionResetError),
            socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        ):
            connection.sendall(b"hello\n")
            answer = connection.recv(100)
        if row.outcome == REFUSED:
            assert answer == b""
            running.wait_for("SSL_connect: ")
        else:
            assert answer == b"olleh\n"
            version, cipher = row.outcome.split()
            running.wait_for(f"{version} ciphersuite: {cipher} (")


SNI = (
    ("127.0.0.1", "sni = name.example.org", "name.example.org"),
    ("localhost", "", "localhost"),
    ("localhost", "sni = name.example.org", "name.example.org"),
    ("localhost", "sni =", None),
)


@pytest.mark.parametrize(("host", "settings", "asked"), SNI)
def test_a_client_names_the_server_that_it_wants(
    tunnel: Tunnels,
    pki: Pki,
    server: ServerFactory,
    free_port: PortFactory,
    host: str,
    settings: str,
    asked: str | None,
) -> None:
    names: list[str | None] = []
    context = tls.server_context(pki.server)
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    tls_server = server(tls.serve(tls.tls_echo, context))
    port = free_port()
    tunnel(f"[c]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {host}:{tls_server.port}\n{settings}\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    assert names == [asked]


def test_an_address_is_no_name_to_ask_for(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    # stunnel4 sends it all the same; RFC 6066, section 3, does not permit literal addresses.
    names: list[str | None] = []
    context = tls.server_context(pki.server)
    context.sni_callback = lambda _tls, name, _context: names.append(name)
    tls_server = server(tls.serve(tls.tls_echo, context))
    port = free_port()
    gtunnel(f"[c]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{tls_server.port}\n")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
    assert names == [None]


# A line of the file says where; what OpenSSL judges is told with the service's section.
BAD = (
    ("ciphers = NOSUCH", "no cipher match"),
    ("ciphersuites = NOSUCH", "no cipher match"),
    ("curves = nosuch", "Invalid groups list in 'curves'"),
    ("curves =", "Invalid groups list in 'curves'"),
    ("sslVersion = TLSv9", "TLSv9"),
    ("sslVersionMin = TLSv1.3\nsslVersionMax = TLSv1.2", "Invalid protocol version range"),
    ("securityLevel = 6", "Illegal security level"),
    ("options = NOSUCH", "NOSUCH"),
    ("key = {other_key}", "key values mismatch"),
    ("cert = /nonexistent.pem", "/nonexistent.pem"),
    ("CAfile = /nonexistent.pem\nverifyChain = yes", "/nonexistent.pem"),
    ("securityLevel = 4\ncert = {rsa}", "too small"),
)


@pytest.mark.parametrize(("settings", "reason"), BAD)
def test_what_openssl_would_not_take_refuses_to_start(
    tunnel: Tunnels, pki: Pki, free_port: PortFactory, settings: str, reason: str
) -> None:
    settings = settings.format(other_key=pki.client.key, rsa=pki.server_rsa.pem)
    cert = "" if "cert =" in settings else f"cert = {pki.server.pem}\n"
    head = f"[it]\naccept = 127.0.0.1:{free_port()}\nconnect = 1\n"
    output = tunnel.refuse(f"{head}{cert}{settings}\n")
    if tunnel.kind == "stunnel4":
        return
    assert reason in output
    lines = re.findall(r"^\[!\] \S+/gtunnel-1\.conf:\d+: (.*)$", output, re.MULTILINE)
    option = settings.split(" ", maxsplit=1)[0]
    assert any(option in line or "Service [it]: " in line for line in lines), output
