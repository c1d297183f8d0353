"""Every kind of certificate meets every kind of setting, in both roles and both versions of TLS, and stunnel4 decides.

Nothing about outcomes is written down here but where gtunnel differs on purpose (`DIFFERENCES`) and what keeps the
comparison from being one of nothing with nothing. The words of refusals are compared in test_verification.py and its
neighbours, with fewer situations.
"""

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from OpenSSL import SSL

from tests.conftest import KINDS
from tests.support import needs, ports, servers, tls
from tests.support.certificates import Identity
from tests.support.servers import Server
from tests.support.situations import VALID, Situations
from tests.support.tunnels import Tunnels

PREAMBLE = "foreground = yes\npid =\nsyslog = no\ndebug = info\n"
PATIENCE = 20.0
VERSIONS = ("1.2", "1.3")
# How many peers each program meets at the same time.
LANES = 4

CHAIN = "verifyChain = yes\nCAfile = {ca}\n"
PEER = "verifyPeer = yes\nCAfile = {installed}\n"
BOTH = "verifyChain = yes\nverifyPeer = yes\nCAfile = {ca_and_installed}\n"
NAMES = "checkHost = localhost\ncheckEmail = host@example.org\ncheckIP = 127.0.0.1\n"

ROWS: Mapping[str, str] = {
    "nothing": "",
    "CAfile alone": "CAfile = {ca}\n",
    "verify = 0": "verify = 0\nCAfile = {ca}\n",
    "verify = 1": "verify = 1\nCAfile = {ca}\n",
    "verify = 2": "verify = 2\nCAfile = {ca}\n",
    "verify = 2 with CApath": "verify = 2\nCApath = {ca_path}\n",
    "verify = 3, nobody installed": "verify = 3\nCAfile = {ca}\n",
    "verify = 3": "verify = 3\nCAfile = {ca_and_installed}\n",
    "verify = 3 with CApath": "verify = 3\nCApath = {ca_and_installed_path}\n",
    "verify = 4, nobody installed": "verify = 4\nCAfile = {ca}\n",
    "verify = 4": "verify = 4\nCAfile = {installed}\n",
    "verify = 4 with CApath": "verify = 4\nCApath = {installed_path}\n",
    "verifyChain": CHAIN,
    "verifyChain with CApath": "verifyChain = yes\nCApath = {ca_path}\n",
    "verifyChain, the intermediate is known": "verifyChain = yes\nCAfile = {ca_and_between}\n",
    "verifyChain, the intermediate alone is known": "verifyChain = yes\nCAfile = {between}\n",
    "verifyChain, leaves alone are known": "verifyChain = yes\nCAfile = {installed}\n",
    "verifyChain for strangers": "verifyChain = yes\nCAfile = {strangers}\n",
    "verifyPeer": PEER,
    "verifyPeer with CApath": "verifyPeer = yes\nCApath = {installed_path}\n",
    "verifyPeer, nobody installed": "verifyPeer = yes\nCAfile = {ca}\n",
    "verifyChain and verifyPeer": BOTH,
    "verifyChain by CApath and verifyPeer by CAfile":
        "verifyChain = yes\nverifyPeer = yes\nCAfile = {installed}\nCApath = {ca_path}\n",
    "requireCert": "requireCert = yes\n",
    "requireCert with CAfile": "requireCert = yes\nCAfile = {ca}\n",
    "verify = 0, then requireCert": "verify = 0\nCAfile = {ca}\nrequireCert = yes\n",
    "verify = 1, then requireCert": "verify = 1\nCAfile = {ca}\nrequireCert = yes\n",
    "verify = 2, then requireCert = no": "verify = 2\nCAfile = {ca}\nrequireCert = no\n",
    "verifyChain, then requireCert = no": CHAIN + "requireCert = no\n",
    "requireCert = no, then verifyChain": "requireCert = no\n" + CHAIN,
    "verifyPeer, then requireCert = no": PEER + "requireCert = no\n",
    "verifyChain, then verifyChain = no": CHAIN + "verifyChain = no\n",
    "verifyPeer, then verify = 0": PEER + "verify = 0\n",
    "checkHost": CHAIN + "checkHost = localhost\n",
    "checkHost of a wildcard": CHAIN + "checkHost = www.example.org\n",
    "checkHost against a wildcard": CHAIN + "checkHost = *.example.org\n",
    "checkHost against two levels": CHAIN + "checkHost = a.www.example.org\n",
    "checkHost of a part": CHAIN + "checkHost = .example.org\n",
    "checkIP": CHAIN + "checkIP = 127.0.0.1\n",
    "checkIP, IPv6": CHAIN + "checkIP = ::1\n",
    "checkEmail": CHAIN + "checkEmail = host@example.org\n",
    "any of three": CHAIN + NAMES,
    "checkHost with verifyPeer": PEER + "checkHost = localhost\n",
    "any of three with both": BOTH + NAMES,
    "CRLfile": CHAIN + "CRLfile = {crl}\n",
    "CRLpath": CHAIN + "CRLpath = {crl_path}\n",
    "CRLfile of the root alone": CHAIN + "CRLfile = {crl_of_root}\n",
    "CRLfile that has expired": CHAIN + "CRLfile = {crl_expired}\n",
    "CRLfile of a stranger": CHAIN + "CRLfile = {crl_of_stranger}\n",
    "CRLfile with verify = 1": "verify = 1\nCAfile = {ca}\nCRLfile = {crl}\n",
    "CRLfile with verifyPeer": PEER + "CRLfile = {crl}\n",
    "CRLfile without verification": "CAfile = {ca}\nCRLfile = {crl}\n",
    "securityLevel = 0": CHAIN + "securityLevel = 0\n",
    "securityLevel = 1": CHAIN + "securityLevel = 1\n",
    "securityLevel = 1 with verifyPeer": PEER + "securityLevel = 1\n",
    "securityLevel = 3": CHAIN + "securityLevel = 3\n",
    "everything": BOTH + NAMES + "CRLfile = {crl}\nrequireCert = yes\n",
}  # fmt: skip

# Who convinces the strictest settings of both programs.
GOOD = {VALID, "two purposes", "no purpose", "of an intermediate CA", "common name alone", "version 1", "wildcard"}
# OpenSSL looks at that only where a server signs in TLS 1.2.
DEPENDS = "a key not for signing"

SAFER = "gtunnel refuses what an intermediate CA issued that a revocation list names"
DIFFERENCES: Mapping[tuple[str, str], str] = {
    (row, "below a revoked CA"): SAFER for row in ("CRLfile", "CRLpath", "CRLfile with verify = 1", "everything")
}
if SSL.OPENSSL_VERSION_NUMBER >= 0x40000000:
    DIFFERENCES = {**DIFFERENCES, ("checkHost against a wildcard", "wildcard"): "OpenSSL 4: a pattern is no name"}


@dataclass
class Stage:
    """Both programs, with all rows as services. `meet(kind, row, situation, version, lane)`: whether data passes."""

    situations: Situations
    meet: Callable[[str, str, str, str, int], bool]
    pool: ThreadPoolExecutor

    def outcomes(self, row: str, version: str) -> dict[str, dict[str, bool]]:
        """For each program, whom it accepts."""

        def lane(kind: str, number: int) -> dict[str, bool]:
            mine = list(self.situations.identities)[number::LANES]
            return {situation: self.meet(kind, row, situation, version, number) for situation in mine}

        for kind in KINDS:
            # stunnel's threads look hashed files up all at once, and those that come too late while one of them reads
            # miss certificates of the same subject.
            self.meet(kind, row, VALID, version, 0)
        found = {kind: [self.pool.submit(lane, kind, number) for number in range(LANES)] for kind in KINDS}
        return {
            kind: {situation: accepted for one in lanes for situation, accepted in one.result().items()}
            for kind, lanes in found.items()
        }


def presenting(identity: Identity | None, context: ssl.SSLContext, version: str) -> ssl.SSLContext:
    """A context that presents a certificate, however weak it is, or does without one."""
    context.set_ciphers("ALL:@SECLEVEL=0")
    if identity is not None:
        context.load_cert_chain(identity.cert, identity.key)
    only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    context.minimum_version = context.maximum_version = only
    return context


def passes(exchange: Callable[[], bytes]) -> bool:
    """Whether a byte comes back. That nothing happens at all is neither."""
    try:
        return exchange() == b"x"
    except TimeoutError:
        raise
    except (OSError, tls.TruncatedError):
        return False


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Tunnels]]:
    """gtunnel and stunnel4."""
    needs.program("stunnel4")
    running = {kind: Tunnels(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}
    yield running
    for tunnels in running.values():
        tunnels.close()


@pytest.fixture(scope="module")
def serving(programs: Mapping[str, Tunnels], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The rows as servers."""
    found = Situations(tmp_path_factory.mktemp("clients"), client=True)
    us = Situations(tmp_path_factory.mktemp("us"), client=False).identities[VALID]
    assert us is not None
    contexts = {
        (situation, version): presenting(identity, tls.client_context(), version)
        for situation, identity in found.identities.items()
        for version in VERSIONS
    }
    numbers = {(kind, row): ports.free_port() for kind in KINDS for row in ROWS}

    def meet(kind: str, row: str, situation: str, version: str, _lane: int) -> bool:
        def exchange() -> bytes:
            connection = socket.create_connection(("127.0.0.1", numbers[kind, row]), PATIENCE)
            with tls.TlsPeer(connection, contexts[situation, version]) as peer:
                peer.send(b"x")
                return peer.receive(1)

        return passes(exchange)

    with Server(servers.echo) as backend:
        for kind, tunnels in programs.items():
            tunnels(
                "".join(
                    f"[{row}]\naccept = 127.0.0.1:{numbers[kind, row]}\nconnect = {backend.endpoint}\n"
                    f"cert = {us.pem}\n{found.fill(settings)}"
                    for row, settings in ROWS.items()
                ),
                preamble=PREAMBLE,
            )
        with ThreadPoolExecutor(LANES * len(KINDS)) as pool:
            yield Stage(found, meet, pool)


@dataclass
class Lane:
    """A server that presents what is to be met next."""

    context: ssl.SSLContext | None = None

    def __call__(self, connection: socket.socket) -> None:
        assert self.context is not None
        tls.serve(tls.tls_echo, self.context)(connection)


@pytest.fixture(scope="module")
def calling(programs: Mapping[str, Tunnels], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The rows as clients. All of them call the servers of their lanes, one after the other."""
    found = Situations(tmp_path_factory.mktemp("servers"), client=False)
    contexts = {
        (situation, version): presenting(identity, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), version)
        for situation, identity in found.identities.items()
        for version in VERSIONS
    }
    lanes = {(kind, number): Lane() for kind in KINDS for number in range(LANES)}
    numbers = {(kind, row, number): ports.free_port() for kind, number in lanes for row in ROWS}

    def meet(kind: str, row: str, situation: str, version: str, number: int) -> bool:
        lanes[kind, number].context = contexts[situation, version]

        def exchange() -> bytes:
            with socket.create_connection(("127.0.0.1", numbers[kind, row, number]), PATIENCE) as connection:
                connection.sendall(b"x")
                return connection.recv(1)

        return passes(exchange)

    with ExitStack() as stack:
        backends = {key: stack.enter_context(Server(lane)) for key, lane in lanes.items()}
        for kind, tunnels in programs.items():
            tunnels(
                "".join(
                    f"[{row} {number}]\nclient = yes\naccept = 127.0.0.1:{port}\n"
                    f"connect = {backends[kind, number].endpoint}\n{found.fill(ROWS[row])}"
                    for (whose, row, number), port in numbers.items()
                    if whose == kind
                ),
                preamble=PREAMBLE,
            )
        with ThreadPoolExecutor(LANES * len(KINDS)) as pool:
            yield Stage(found, meet, pool)


def compare(stage: Stage, row: str, version: str) -> None:
    """The same outcomes but for the known differences, and those are there."""
    found = stage.outcomes(row, version)
    ours, theirs = found["gtunnel"], found["stunnel4"]
    differing = {
        situation: " and ".join(f"{kind} {'accepts' if found[kind][situation] else 'refuses'}" for kind in KINDS)
        for situation in theirs
        if ours[situation] != (theirs[situation] and (row, situation) not in DIFFERENCES)
    }
    assert not differing
    assert all(theirs[situation] for where, situation in DIFFERENCES if where == row), "no difference any more"
    if row == "everything":
        assert {situation for situation, accepted in ours.items() if accepted} - {DEPENDS} == GOOD


@pytest.mark.parametrize("version", VERSIONS, ids="TLSv{}".format)
@pytest.mark.parametrize("row", ROWS)
def test_a_server_lets_in_whom_stunnel_lets_in(serving: Stage, row: str, version: str) -> None:
    compare(serving, row, version)


@pytest.mark.parametrize("version", VERSIONS, ids="TLSv{}".format)
@pytest.mark.parametrize("row", ROWS)
def test_a_client_talks_to_whom_stunnel_talks_to(calling: Stage, row: str, version: str) -> None:
    compare(calling, row, version)
