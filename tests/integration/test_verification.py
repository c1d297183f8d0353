"""Whom each setting lets in, and what is negotiated: one table, the same answers from gtunnel and from stunnel4.

All services of a table stand in one configuration of one process; each test then meets one of them with every peer.
"""

import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.conftest import KINDS
from tests.support import needs, ports, servers, tls
from tests.support.certificates import Identity, Pki, Wish
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]
ServerFactory = Callable[..., Server]

VERSIONS = ("1.2", "1.3")
PREAMBLE = "foreground = yes\npid =\nsyslog = no\ndebug = info\n"
PATIENCE = 10.0

# What became of a connection: whether it carried data, and what the log says of the peer's certificate.
UNCHECKED = "Certificate verification disabled"
ACCEPTED = "Certificate accepted at depth=0: CN="
NO_CERTIFICATE = "peer did not return a certificate"
NOT_ASKED = ""  # accepted without a certificate
EXPIRED = "CERT: Pre-verification error: certificate has expired"
SELF_SIGNED = "CERT: Pre-verification error: self-signed certificate"
UNKNOWN_CA = "CERT: Pre-verification error: self-signed certificate in certificate chain"
PURPOSE = "CERT: Pre-verification error: unsuitable certificate purpose"
NOT_INSTALLED = "CERT: Certificate not found in local repository"
WRONG_SUBJECT = "CERT: Subject checks failed"

GOOD = (UNCHECKED, ACCEPTED, NOT_ASKED)


@dataclass(frozen=True)
class Row:
    """Settings of a service, and what becomes of each peer. `{ca}` and the like name files of `Files`."""

    name: str
    settings: str
    fates: tuple[str, ...]


# The peers, in the order of the columns below.
CLIENTS = ("nobody", "alice", "expired", "stranger", "self-signed")
SERVERS = ("good", "expired", "other host", "stranger", "self-signed")

ANYBODY = (NOT_ASKED,) + 4 * (UNCHECKED,)
WHOEVER_SHOWS_ONE = (NO_CERTIFICATE,) + 4 * (UNCHECKED,)
ONLY_ALICE = (NO_CERTIFICATE, ACCEPTED, EXPIRED, UNKNOWN_CA, SELF_SIGNED)
ALICE_OR_NOBODY = (NOT_ASKED, *ONLY_ALICE[1:])
NO_CLIENT_IS_INSTALLED = (NO_CERTIFICATE, NOT_INSTALLED, EXPIRED, NOT_INSTALLED, SELF_SIGNED)
ALICE_IS_SOMEBODY_ELSE = (NO_CERTIFICATE, WRONG_SUBJECT, EXPIRED, UNKNOWN_CA, SELF_SIGNED)

ANY_SERVER = 5 * (UNCHECKED,)
OF_OUR_CA = (ACCEPTED, EXPIRED, ACCEPTED, UNKNOWN_CA, SELF_SIGNED)
ONLY_GOOD = (ACCEPTED, EXPIRED, WRONG_SUBJECT, UNKNOWN_CA, SELF_SIGNED)
NOBODY_GOOD = (WRONG_SUBJECT, EXPIRED, WRONG_SUBJECT, UNKNOWN_CA, SELF_SIGNED)
ONLY_OTHER = (WRONG_SUBJECT, EXPIRED, ACCEPTED, UNKNOWN_CA, SELF_SIGNED)

CHAIN = "verifyChain = yes\nCAfile = {ca}\n"

SERVER_MODE = (
    Row("nothing", "", (NOT_ASKED,) * 5),
    Row("verify = 0", "verify = 0\nCAfile = {ca}", ANYBODY),
    Row("verify = 1", "verify = 1\nCAfile = {ca}", ALICE_OR_NOBODY),
    Row("verify = 2", "verify = 2\nCAfile = {ca}", ONLY_ALICE),
    Row("verify = 3, not installed", "verify = 3\nCAfile = {ca}",
        (NO_CERTIFICATE, NOT_INSTALLED, EXPIRED, UNKNOWN_CA, SELF_SIGNED)),
    Row("verify = 3, installed", "verify = 3\nCAfile = {ca_and_alice}", ONLY_ALICE),
    Row("verify = 4, not installed", "verify = 4\nCAfile = {ca}", NO_CLIENT_IS_INSTALLED),
    Row("verify = 4, installed", "verify = 4\nCAfile = {alice}",
        (NO_CERTIFICATE, ACCEPTED, EXPIRED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyChain", CHAIN, ONLY_ALICE),
    Row("verifyChain with CApath", "verifyChain = yes\nCApath = {ca_path}", ONLY_ALICE),
    Row("verifyPeer, not installed", "verifyPeer = yes\nCAfile = {ca}", NO_CLIENT_IS_INSTALLED),
    Row("verifyPeer, alice installed", "verifyPeer = yes\nCAfile = {alice}",
        (NO_CERTIFICATE, ACCEPTED, EXPIRED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, alice installed in CApath", "verifyPeer = yes\nCApath = {alice_path}",
        (NO_CERTIFICATE, ACCEPTED, EXPIRED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, a stranger installed", "verifyPeer = yes\nCAfile = {stranger_client}",
        (NO_CERTIFICATE, NOT_INSTALLED, EXPIRED, ACCEPTED, SELF_SIGNED)),
    Row("verifyPeer, an expired one installed", "verifyPeer = yes\nCAfile = {expired_client}",
        (NO_CERTIFICATE, NOT_INSTALLED, EXPIRED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, a self-signed one installed", "verifyPeer = yes\nCAfile = {self_signed_client}",
        (NO_CERTIFICATE, NOT_INSTALLED, EXPIRED, NOT_INSTALLED, ACCEPTED)),
    Row("verifyPeer, a server's certificate installed", "verifyPeer = yes\nCAfile = {self_signed}",
        (NO_CERTIFICATE, NOT_INSTALLED, EXPIRED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyChain and verifyPeer", "verifyChain = yes\nverifyPeer = yes\nCAfile = {ca_and_alice}", ONLY_ALICE),
    Row("requireCert", "requireCert = yes", WHOEVER_SHOWS_ONE),
    Row("requireCert with CAfile", "requireCert = yes\nCAfile = {ca}", WHOEVER_SHOWS_ONE),
    Row("verifyChain, then requireCert = no", CHAIN + "requireCert = no", ALICE_OR_NOBODY),
    Row("requireCert = no, then verifyChain", "requireCert = no\n" + CHAIN, ONLY_ALICE),
    Row("checkEmail", CHAIN + "checkEmail = alice@example.org", ONLY_ALICE),
    Row("checkEmail, domain in capitals", CHAIN + "checkEmail = alice@EXAMPLE.org", ONLY_ALICE),
    Row("checkEmail of another", CHAIN + "checkEmail = bob@example.org", ALICE_IS_SOMEBODY_ELSE),
    Row("several of checkEmail", CHAIN + "checkEmail = bob@example.org\ncheckEmail = alice@example.org", ONLY_ALICE),
    Row("any of checkHost and checkEmail", CHAIN + "checkHost = bob\ncheckEmail = alice@example.org", ONLY_ALICE),
    # Without alternative names of that kind the common name counts, as X509_check_host(3) says.
    Row("checkHost by the common name", CHAIN + "checkHost = alice", ONLY_ALICE),
    Row("checkHost of another", CHAIN + "checkHost = localhost", ALICE_IS_SOMEBODY_ELSE),
    Row("checkIP", CHAIN + "checkIP = 127.0.0.1", ALICE_IS_SOMEBODY_ELSE),
)

CLIENT_MODE = (
    Row("nothing", "", ANY_SERVER),
    Row("verify = 0", "verify = 0\nCAfile = {ca}", ANY_SERVER),
    Row("verify = 1", "verify = 1\nCAfile = {ca}", OF_OUR_CA),
    Row("verify = 2", "verify = 2\nCAfile = {ca}", OF_OUR_CA),
    Row("verify = 3, not installed", "verify = 3\nCAfile = {ca}",
        (NOT_INSTALLED, EXPIRED, NOT_INSTALLED, UNKNOWN_CA, SELF_SIGNED)),
    Row("verify = 3, installed", "verify = 3\nCAfile = {ca_and_good}",
        (ACCEPTED, EXPIRED, NOT_INSTALLED, UNKNOWN_CA, SELF_SIGNED)),
    Row("verify = 4, installed", "verify = 4\nCAfile = {good}",
        (ACCEPTED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyChain", CHAIN, OF_OUR_CA),
    Row("verifyChain with CApath", "verifyChain = yes\nCApath = {ca_path}", OF_OUR_CA),
    Row("verifyPeer, not installed", "verifyPeer = yes\nCAfile = {ca}",
        (NOT_INSTALLED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, installed", "verifyPeer = yes\nCAfile = {good}",
        (ACCEPTED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, installed in CApath", "verifyPeer = yes\nCApath = {good_path}",
        (ACCEPTED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, a stranger installed", "verifyPeer = yes\nCAfile = {stranger}",
        (NOT_INSTALLED, EXPIRED, NOT_INSTALLED, ACCEPTED, SELF_SIGNED)),
    Row("verifyPeer, an expired one installed", "verifyPeer = yes\nCAfile = {expired}",
        (NOT_INSTALLED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, SELF_SIGNED)),
    Row("verifyPeer, a self-signed one installed", "verifyPeer = yes\nCAfile = {self_signed}",
        (NOT_INSTALLED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, ACCEPTED)),
    Row("verifyPeer, a client's certificate installed", "verifyPeer = yes\nCAfile = {alice}",
        (NOT_INSTALLED, EXPIRED, NOT_INSTALLED, NOT_INSTALLED, SELF_SIGNED)),
    Row("requireCert", "requireCert = yes", ANY_SERVER),
    Row("verifyChain, then requireCert = no", CHAIN + "requireCert = no", OF_OUR_CA),
    Row("checkHost", CHAIN + "checkHost = localhost", ONLY_GOOD),
    Row("checkHost in capitals", CHAIN + "checkHost = LOCALHOST", ONLY_GOOD),
    Row("checkHost of the other", CHAIN + "checkHost = other.example.org", ONLY_OTHER),
    Row("checkHost of a part", CHAIN + "checkHost = example.org", NOBODY_GOOD),
    Row("several of checkHost", CHAIN + "checkHost = nobody\ncheckHost = localhost", ONLY_GOOD),
    Row("several of checkHost, for both", CHAIN + "checkHost = other.example.org\ncheckHost = localhost", OF_OUR_CA),
    Row("checkIP", CHAIN + "checkIP = 127.0.0.1", ONLY_GOOD),
    Row("checkIP in IPv6", CHAIN + "checkIP = ::1", ONLY_GOOD),
    Row("checkIP of the other", CHAIN + "checkIP = 192.0.2.99", ONLY_OTHER),
    Row("checkIP of nobody", CHAIN + "checkIP = 192.0.2.1", NOBODY_GOOD),
    Row("checkEmail", CHAIN + "checkEmail = host@example.org", ONLY_GOOD),
    Row("any of checkHost, checkIP and checkEmail",
        CHAIN + "checkHost = nobody\ncheckEmail = nobody@example.org\ncheckIP = 192.0.2.99", ONLY_OTHER),
    Row("checkHost after verify = 1", "verify = 1\nCAfile = {ca}\ncheckHost = localhost", ONLY_GOOD),
    Row("checkHost with verifyPeer", "verifyPeer = yes\nCAfile = {good}\ncheckHost = nobody",
        (WRONG_SUBJECT, EXPIRED, WRONG_SUBJECT, WRONG_SUBJECT, SELF_SIGNED)),
)


class Files:
    """The certificates of the tables, as peers and as files of the settings."""

    def __init__(self, pki: Pki, directory: Path) -> None:
        self._directory = directory
        expired_client = pki.authority.issue(Wish(name="alice", client=True, expired=True))
        self_signed_client = _self_signed_client(directory)
        self.clients: Mapping[str, Identity | None] = dict(
            zip(CLIENTS, (None, pki.client, expired_client, pki.stranger_client, self_signed_client), strict=True)
        )
        self.servers: Mapping[str, Identity] = dict(
            zip(
                SERVERS,
                (pki.server, pki.expired, pki.wrong_host, pki.stranger_server, pki.self_signed),
                strict=True,
            )
        )
        leaf = self._leaf
        self._names = {
            "ca": pki.ca,
            "ca_path": pki.authority.ca_directory,
            "alice": leaf(pki.client),
            "alice_path": self._path(pki.client),
            "ca_and_alice": leaf(pki.client, pki.ca),
            "expired_client": leaf(expired_client),
            "stranger_client": leaf(pki.stranger_client),
            "self_signed_client": leaf(self_signed_client),
            "good": leaf(pki.server),
            "good_path": self._path(pki.server),
            "ca_and_good": leaf(pki.server, pki.ca),
            "expired": leaf(pki.expired),
            "stranger": leaf(pki.stranger_server),
            "self_signed": leaf(pki.self_signed),
        }

    def fill(self, settings: str) -> str:
        """Settings with the names of files in them."""
        return settings.format_map(self._names)

    def _leaf(self, identity: Identity, more: Path | None = None) -> Path:
        path = self._directory / f"installed-{len(list(self._directory.iterdir()))}.pem"
        path.write_bytes(identity.certificate.public_bytes(Encoding.PEM) + (more.read_bytes() if more else b""))
        return path

    def _path(self, identity: Identity) -> Path:
        directory = self._leaf(identity).with_suffix(".d")
        directory.mkdir()
        (directory / "leaf.pem").write_bytes(identity.certificate.public_bytes(Encoding.PEM))
        subprocess.run([needs.program("openssl"), "rehash", str(directory)], check=True, capture_output=True)
        return directory


def _self_signed_client(directory: Path) -> Identity:
    """A client's certificate signed by its own key."""
    key, cert = directory / "client.key", directory / "client.crt"
    subject = ["-subj", "/CN=loner", "-addext", "extendedKeyUsage=clientAuth", "-addext", "basicConstraints=CA:FALSE"]
    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    argv = [needs.program("openssl"), *new, *subject, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(argv, check=True, capture_output=True)
    return Identity(cert=cert, key=key, pem=cert, certificate=x509.load_pem_x509_certificate(cert.read_bytes()))


@dataclass(frozen=True)
class Running:
    """A program that serves a whole table."""

    daemon: Daemon
    files: Files
    ports: Mapping[tuple[str, ...], int]
    met: Counter[str] = field(default_factory=Counter)

    def told(self, service: str, address: tuple[str, int]) -> str:
        """What the log says of the connection to a service that came from an address, to its end."""
        text = f"Service [{service}] accepted connection from {address[0]}:{address[1]}"
        # The kernel may give a port out again.
        self.met[text] += 1
        line = self.daemon.wait_for(text, times=self.met[text])
        found = re.search(r"LOG\d\[(\w+)\]", line)
        assert found is not None
        self.daemon.wait_for(f"LOG5[{found[1]}]: Connection ")
        return "\n".join(line for line in self.daemon.output.splitlines() if f"[{found[1]}]: " in line)


@pytest.fixture(scope="module")
def files(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The certificates of the tables."""
    return Files(pki, tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The program: everything runs with gtunnel, and with stunnel4."""
    if request.param == "stunnel4":
        needs.program("stunnel4")
    return str(request.param)


@pytest.fixture(scope="module")
def serving(kind: str, pki: Pki, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All rows of SERVER_MODE in one process."""
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("serving"))
    numbers: dict[tuple[str, ...], int] = {(row.name,): ports.free_port() for row in SERVER_MODE}
    with Server(servers.echo) as backend:
        conf = "".join(
            f"[{row.name}]\naccept = 127.0.0.1:{numbers[row.name,]}\nconnect = {backend.endpoint}\n"
            f"cert = {pki.server.pem}\n{files.fill(row.settings)}\n"
            for row in SERVER_MODE
        )
        yield Running(tunnels(conf, preamble=PREAMBLE), files, numbers)
        tunnels.close()


@pytest.fixture(scope="module")
def calling(kind: str, files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All rows of CLIENT_MODE in one process: a service for each server and each version."""
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("calling"))
    numbers: dict[tuple[str, ...], int] = {}
    conf = ""
    with ExitStack() as stack:
        for name, identity in files.servers.items():
            for version in VERSIONS:
                handler = tls.serve(tls.tls_echo, tls.server_context(identity, version=version))
                server = stack.enter_context(Server(handler))
                for row in CLIENT_MODE:
                    port = numbers[row.name, name, version] = ports.free_port()
                    conf += f"[{row.name} / {name} / {version}]\nclient = yes\naccept = 127.0.0.1:{port}\n"
                    conf += f"connect = {server.endpoint}\n{files.fill(row.settings)}\n"
        yield Running(tunnels(conf, preamble=PREAMBLE), files, numbers)
        tunnels.close()


def bound() -> socket.socket:
    """A socket with an address, before it connects: a refusal can be there before we look."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    connection.bind(("127.0.0.1", 0))
    return connection


def carries(peer: socket.socket | tls.TlsPeer) -> bool:
    """Whether a byte comes back."""
    if isinstance(peer, socket.socket):
        peer.sendall(b"x")
        return peer.recv(1) == b"x"
    peer.send(b"x")
    return peer.receive(1) == b"x"


def fate(accepted: bool, log: str, expected: str) -> str:
    """What became of a connection, in the terms of the tables; `expected` if that is one of several true ones."""
    if accepted != (expected in GOOD):
        return "accepted" if accepted else f"refused: {log}"
    if expected in (UNCHECKED, ACCEPTED):
        return expected if expected in log else f"accepted otherwise: {log}"
    if expected == NOT_ASKED:
        return expected if "CERT: Pre" not in log and "accepted at depth" not in log else f"was checked: {log}"
    if expected == NO_CERTIFICATE:
        return expected if expected in log and "SSL_accept: " in log else f"refused otherwise: {log}"
    # stunnel's words, and what gtunnel adds to them.
    log = re.sub(r"(CERT: [^(\n]*) \(.*\)\n", r"\1\n", f"{log}\n")
    wanted = (f"{expected}\n", "Rejected by CERT at depth=", "certificate verify failed")
    return expected if all(text in f"{log}\n" for text in wanted) else f"refused otherwise: {log}"


@pytest.mark.parametrize("version", VERSIONS, ids="TLSv{}".format)
@pytest.mark.parametrize("row", SERVER_MODE, ids=lambda row: row.name)
def test_a_server_lets_in_whom_its_settings_allow(serving: Running, row: Row, version: str) -> None:
    fates = []
    for name, expected in zip(CLIENTS, row.fates, strict=True):
        context = tls.client_context(identity=serving.files.clients[name], version=version)
        with bound() as connection:
            address = connection.getsockname()
            try:
                connection.connect(("127.0.0.1", serving.ports[row.name,]))
                # In TLS 1.3 a client learns that its certificate was refused only when it reads.
                with tls.TlsPeer(connection, context) as peer:
                    accepted = carries(peer)
            except (OSError, tls.TruncatedError):
                accepted = False
        fates.append(fate(accepted, serving.told(row.name, address), expected))
    assert dict(zip(CLIENTS, fates, strict=True)) == dict(zip(CLIENTS, row.fates, strict=True))


@pytest.mark.parametrize("version", VERSIONS, ids="TLSv{}".format)
@pytest.mark.parametrize("row", CLIENT_MODE, ids=lambda row: row.name)
def test_a_client_talks_to_whom_its_settings_allow(calling: Running, row: Row, version: str) -> None:
    fates = []
    for name, expected in zip(SERVERS, row.fates, strict=True):
        with bound() as connection:
            address = connection.getsockname()
            try:
                connection.connect(("127.0.0.1", calling.ports[row.name, name, version]))
                accepted = carries(connection)
            except OSError:
                accepted = False
        fates.append(fate(accepted, calling.told(f"{row.name} / {name} / {version}", address), expected))
    assert dict(zip(SERVERS, fates, strict=True)) == dict(zip(SERVERS, row.fates, strict=True))
