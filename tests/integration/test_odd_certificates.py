"""Certificates that are wrong in rarer ways, and who takes them: the same answers from gtunnel and from stunnel4."""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.conftest import KINDS
from tests.support import needs, ports, servers, tls
from tests.support.certificates import Authority, Identity, Wish
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PREAMBLE = "foreground = yes\npid =\nsyslog = no\ndebug = info\n"
PATIENCE = 10.0

ACCEPTED = "Certificate accepted at depth=0"
UNCHECKED = "Certificate verification disabled"
NOT_YET = "CERT: Pre-verification error: certificate is not yet valid"
NO_ISSUER = "CERT: Pre-verification error: unable to get local issuer certificate"
PURPOSE = "CERT: Pre-verification error: unsuitable certificate purpose"
WEAK = "CERT: Pre-verification error: EE certificate key too weak"
NOT_ASKED = ""
GOOD = (ACCEPTED, UNCHECKED, NOT_ASKED)

PEERS = ("not yet valid", "its issuer left out", "made for the other role", "a weak key")
CHAIN = "verifyChain = yes\nCAfile = {ca}\n"
BY_CHAIN = (NOT_YET, NO_ISSUER, PURPOSE, WEAK)

ROWS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "nothing": ("", (NOT_ASKED,) * 4),
    "verify = 0": ("verify = 0\nCAfile = {ca}\n", (UNCHECKED,) * 4),
    "verify = 1": ("verify = 1\nCAfile = {ca}\n", BY_CHAIN),
    "verify = 2": ("verify = 2\nCAfile = {ca}\n", BY_CHAIN),
    "verify = 3, installed": ("verify = 3\nCAfile = {installed}\n", BY_CHAIN),
    "verifyChain": (CHAIN, BY_CHAIN),
    "verifyChain, the intermediate is known": (CHAIN.replace("{ca}", "{both}"), (NOT_YET, ACCEPTED, PURPOSE, WEAK)),
    "verifyPeer, installed": ("verifyPeer = yes\nCAfile = {installed}\n", (NOT_YET, ACCEPTED, PURPOSE, WEAK)),
    "verifyChain at level 0": (CHAIN + "securityLevel = 0\n", (NOT_YET, NO_ISSUER, PURPOSE, ACCEPTED)),
}


class Odd:
    """The certificates."""

    def __init__(self, directory: Path, *, client: bool) -> None:
        top = Authority(directory, "top")
        between = Authority(directory, "between", top)

        def wish(name: str, **more: object) -> Wish:
            return Wish(name=name, dns=["localhost"], **{"client": client, **more})  # type: ignore[arg-type]

        alone = between.issue(wish("alone"))
        alone.cert.write_bytes(alone.certificate.public_bytes(Encoding.PEM))
        found = (
            top.issue(wish("future", future=True)),
            alone,
            top.issue(wish("other", client=not client)),
            top.issue(wish("weak", algorithm="weak")),
        )
        self.peers: Mapping[str, Identity] = dict(zip(PEERS, found, strict=True))
        self.us = top.issue(Wish(name="us", both=True))
        both, installed = directory / "both.pem", directory / "installed.pem"
        both.write_bytes(top.ca_file.read_bytes() + between.ca_file.read_bytes())
        leaves = (peer.certificate.public_bytes(Encoding.PEM) for peer in found)
        installed.write_bytes(b"".join((top.ca_file.read_bytes(), *leaves)))
        self._names = {"ca": top.ca_file, "both": both, "installed": installed}

    def fill(self, settings: str) -> str:
        """Settings with the names of files in them."""
        return settings.format_map(self._names)


def presenting(identity: Identity, context: ssl.SSLContext) -> ssl.SSLContext:
    """A context that presents a certificate however weak it is."""
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(identity.cert, identity.key)
    return context


@dataclass(frozen=True)
class Running:
    """A program that has all rows as services."""

    daemon: Daemon
    odd: Odd
    ports: Mapping[tuple[str, str], int]

    def told(self, service: str, address: tuple[str, int]) -> str:
        """What the log says of the connection to a service that came from an address, to its end."""
        line = self.daemon.wait_for(f"Service [{service}] accepted connection from {address[0]}:{address[1]}")
        found = re.search(r"LOG\d\[(\w+)\]", line)
        assert found is not None
        self.daemon.wait_for(f"LOG5[{found[1]}]: Connection ")
        return "\n".join(line for line in self.daemon.output.splitlines() if f"[{found[1]}]: " in line)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The program: everything runs with gtunnel, and with stunnel4."""
    if request.param == "stunnel4":
        needs.program("stunnel4")
    return str(request.param)


@pytest.fixture(scope="module")
def serving(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The rows as servers."""
    odd = Odd(tmp_path_factory.mktemp("clients"), client=True)
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("serving"))
    numbers = {(row, name): ports.free_port() for row in ROWS for name in PEERS}
    with Server(servers.echo) as backend:
        conf = "".join(
            f"[{row} / {name}]\naccept = 127.0.0.1:{number}\nconnect = {backend.endpoint}\ncert = {odd.us.pem}\n"
            f"{odd.fill(ROWS[row][0])}\n"
            for (row, name), number in numbers.items()
        )
        yield Running(tunnels(conf, preamble=PREAMBLE), odd, numbers)
        tunnels.close()


@pytest.fixture(scope="module")
def calling(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The rows as clients."""
    odd = Odd(tmp_path_factory.mktemp("servers"), client=False)
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("calling"))
    numbers: dict[tuple[str, str], int] = {}
    conf = ""
    with ExitStack() as stack:
        for name, identity in odd.peers.items():
            context = presenting(identity, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            server = stack.enter_context(Server(tls.serve(tls.tls_echo, context)))
            for row, (settings, _) in ROWS.items():
                port = numbers[row, name] = ports.free_port()
                conf += f"[{row} / {name}]\nclient = yes\naccept = 127.0.0.1:{port}\n"
                conf += f"connect = {server.endpoint}\n{odd.fill(settings)}\n"
        yield Running(tunnels(conf, preamble=PREAMBLE), odd, numbers)
        tunnels.close()


def fate(accepted: bool, log: str, expected: str) -> str:
    """What became of a connection, in the terms of the table."""
    good = expected in GOOD
    if accepted != good or (expected and expected not in log):
        return f"{'accepted' if accepted else 'refused'}: {log}"
    if not good and not all(text in log for text in ("Rejected by CERT at depth=0", "certificate verify failed")):
        return f"refused otherwise: {log}"
    return expected


def bound() -> socket.socket:
    """A socket with an address, before it connects."""
    connection = socket.socket()
    connection.settimeout(PATIENCE)
    connection.bind(("127.0.0.1", 0))
    return connection


@pytest.mark.parametrize("row", ROWS)
def test_a_server_lets_in_whom_its_settings_allow(serving: Running, row: str) -> None:
    expected = dict(zip(PEERS, ROWS[row][1], strict=True))
    fates = {}
    for name, identity in serving.odd.peers.items():
        context = presenting(identity, tls.client_context())
        with bound() as connection:
            address = connection.getsockname()
            try:
                connection.connect(("127.0.0.1", serving.ports[row, name]))
                with tls.TlsPeer(connection, context) as peer:
                    peer.send(b"x")
                    accepted = peer.receive(1) == b"x"
            except (OSError, tls.TruncatedError):
                accepted = False
        fates[name] = fate(accepted, serving.told(f"{row} / {name}", address), expected[name])
    assert fates == expected


@pytest.mark.parametrize("row", ROWS)
def test_a_client_talks_to_whom_its_settings_allow(calling: Running, row: str) -> None:
    expected = {
        name: UNCHECKED if one is NOT_ASKED else one for name, one in zip(PEERS, ROWS[row][1], strict=True)
    }
    fates = {}
    for name in PEERS:
        with bound() as connection:
            address = connection.getsockname()
            try:
                connection.connect(("127.0.0.1", calling.ports[row, name]))
                connection.sendall(b"x")
                accepted = connection.recv(1) == b"x"
            except OSError:
                accepted = False
        fates[name] = fate(accepted, calling.told(f"{row} / {name}", address), expected[name])
    assert fates == expected
