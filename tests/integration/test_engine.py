"""A key and a certificate that a token keeps: SoftHSM behind OpenSSL's pkcs11 engine, in gtunnel and in stunnel4."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from gtunnel.tls.openssl import engines
from tests.support import needs, tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.skipif(not engines.AVAILABLE, reason="this OpenSSL has no engines")

PIN = "736251"
MODULES = (Path("/usr/lib/softhsm/libsofthsm2.so"), Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"))
FOREGROUND = "foreground = yes\npid =\nsyslog = no\ndebug = debug\n"


@dataclass(frozen=True)
class Token:
    """A token that has a server's key and certificate; `lines` name it to the engine."""

    uri: str
    lines: str
    module: Path
    directory: Path

    def keep(self, label: str, certificate: bytes) -> None:
        """Put a certificate (DER) into it."""
        file = self.directory / f"{label}.der"
        file.write_bytes(certificate)
        written = ("--write-object", file, "--type", "cert", "--label", label)
        run("pkcs11-tool", "--module", self.module, "--login", "--pin", PIN, *written)


def run(*argv: str | Path) -> None:
    subprocess.run([needs.program(str(argv[0])), *argv[1:]], check=True, capture_output=True)


@pytest.fixture
def token(tmp_path: Path, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> Token:
    """A token of this test's own."""
    module = next((module for module in MODULES if module.exists()), None)
    needs.program("softhsm2-util")
    needs.program("pkcs11-tool")
    if module is None:
        pytest.skip("SoftHSM's module is not where it is looked for")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}/tokens\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    run("softhsm2-util", "--init-token", "--free", "--label", "it", "--pin", PIN, "--so-pin", PIN)
    key = serialization.load_pem_private_key(pki.server.key.read_bytes(), None)
    pkcs8 = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *pkcs8))
    run("softhsm2-util", "--import", tmp_path / "key", "--token", "it", "--label", "srv", "--id", "01", "--pin", PIN)
    (tmp_path / "cert").write_bytes(pki.server.certificate.public_bytes(serialization.Encoding.DER))
    written = ("--write-object", tmp_path / "cert", "--type", "cert", "--label", "srv", "--id", "01")
    run("pkcs11-tool", "--module", module, "--login", "--pin", PIN, *written)
    lines = f"engine = pkcs11\nengineCtrl = MODULE_PATH:{module}\nengineCtrl = PIN:{PIN}\n"
    return Token("pkcs11:object=srv", lines, module, tmp_path)


def echoes(port: int, pki: Pki) -> bool:
    with tls.connect(port, tls.client_context(str(pki.ca))) as peer:
        peer.send(b"hello")
        return peer.receive_exactly(5) == b"hello"


@pytest.mark.parametrize("which", ["engineId = pkcs11", "engineNum = 1"])
@pytest.mark.parametrize("key", ["", "key = pkcs11:object=srv;type=private"])
def test_a_certificate_and_a_key_in_a_token(
    tunnel: Tunnels, token: Token, pki: Pki, echo: Server, free_port: Callable[[], int], which: str, key: str
) -> None:
    port = free_port()
    service = f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n{which}\ncert = {token.uri}\n{key}\n"
    tunnel(token.lines + service, preamble=FOREGROUND)
    assert echoes(port, pki)


def test_workers_and_reloads_share_a_token_and_its_pin_is_never_shown(
    gtunnel: Tunnels, token: Token, pki: Pki, echo: Server, free_port: Callable[[], int]
) -> None:
    port = free_port()
    service = f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\nengineId = pkcs11\n"
    files = f"cert = {pki.server.cert}\nkey = {token.uri}\n"
    running = gtunnel("workers = 2\n" + token.lines + service + files, preamble=FOREGROUND)
    for _ in range(8):
        assert echoes(port, pki)
    running.send(signal.SIGHUP)
    running.wait_for("Accepting new connections", times=2)
    for _ in range(8):
        assert echoes(port, pki)
    assert PIN not in running.output


@pytest.mark.parametrize("demand", ["verifyChain = yes", "verifyPeer = yes"])
def test_whom_a_token_knows_is_trusted(
    gtunnel: Tunnels, token: Token, pki: Pki, free_port: Callable[[], int], server: Callable[..., Server], demand: str
) -> None:
    """The token's own certificate is what `verifyPeer` compares with; its issuer is added for `verifyChain`."""
    token.keep("ca", pki.authority.certificate.public_bytes(serialization.Encoding.DER))
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    stranger = server(tls.serve(tls.tls_echo, tls.server_context(pki.stranger_server)))
    services, ports = "", []
    for target in (backend, stranger):
        ports.append(free_port())
        services += f"[to{ports[-1]}]\nclient = yes\naccept = 127.0.0.1:{ports[-1]}\nconnect = {target.endpoint}\n"
        services += f"engineId = pkcs11\nCAengine = pkcs11:object=ca\nCAengine = {token.uri}\n{demand}\n"
    running = gtunnel(token.lines + services, preamble=FOREGROUND)
    for port, answer in zip(ports, (b"hello", b""), strict=True):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
            client.sendall(b"hello")
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(5) == answer
    assert running.count("Certificate accepted at depth=0") == 1
    assert running.count("Rejected by CERT at depth=") >= 1


@pytest.mark.parametrize(
    ("lines", "service", "reason"),
    [
        ("engineCtrl = NO_SUCH:1\n", "", "engine routines::invalid cmd name"),
        ("", "engineId = other\n", "no such engine was named"),
        ("", "engineNum = 2\n", "no such engine was named"),
        ("", "engineId = pkcs11\ncert = pkcs11:object=none\n", "Service [it]: engine pkcs11: "),
        ("", "CAengine = pkcs11:object=none\nverifyChain = yes\n", "Service [it]: engine pkcs11: "),
        ("", "engineId = other\nCAengine = pkcs11:object=srv\nverifyChain = yes\n", "no such engine was named"),
    ],
)
def test_what_an_engine_has_not_got_is_refused(
    gtunnel: Tunnels, token: Token, lines: str, service: str, reason: str
) -> None:
    text = f"{token.lines}{lines}[it]\naccept = 127.0.0.1:1\nconnect = 127.0.0.1:1\ncert = {token.uri}\n{service}"
    output = gtunnel.refuse(text, preamble=FOREGROUND)
    assert reason in output
    assert PIN not in output
