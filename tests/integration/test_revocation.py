"""Revocation lists: whom they turn away, in both roles; the same answers from gtunnel and from stunnel4."""

import re
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

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
REVOKED = "CERT: Pre-verification error: certificate revoked"
MISSING = "CERT: Pre-verification error: unable to get certificate CRL"
EXPIRED = "CERT: Pre-verification error: CRL has expired"
NOT_YET = "CERT: Pre-verification error: CRL is not yet valid"
NOT_INSTALLED = "CERT: Certificate not found in local repository"

# Certificates of the root, of the intermediate CA, and of an intermediate CA that is revoked itself.
PEERS = ("good", "revoked", "below", "revoked below", "below revoked")


@dataclass(frozen=True)
class Row:
    """Settings of a service, and what becomes of each peer. `{root}` and the like name files of `Lists`."""

    name: str
    settings: str
    fates: tuple[str, ...]


CHAIN = "verifyChain = yes\nCAfile = {ca}\n"
BY_LIST = (ACCEPTED, REVOKED, ACCEPTED, REVOKED, REVOKED)
NO_LIST_OF_THE_INTERMEDIATE = (ACCEPTED, REVOKED, MISSING, MISSING, MISSING)

ROWS = (
    Row("no list", CHAIN, (ACCEPTED,) * 5),
    Row("all lists in a file", CHAIN + "CRLfile = {all}", BY_LIST),
    Row("all lists in a directory", CHAIN + "CRLpath = {all_path}", BY_LIST),
    Row("the root's list only", CHAIN + "CRLfile = {root}", NO_LIST_OF_THE_INTERMEDIATE),
    Row("the root's list only, in a directory", CHAIN + "CRLpath = {root_path}", NO_LIST_OF_THE_INTERMEDIATE),
    Row("the root's in a file, the others in a directory", CHAIN + "CRLfile = {root}\nCRLpath = {below_path}", BY_LIST),
    Row("the intermediate's list only", CHAIN + "CRLfile = {below}", (MISSING,) * 5),
    Row("an empty directory", CHAIN + "CRLpath = {nothing_path}", (MISSING,) * 5),
    Row("a directory that is not there", CHAIN + "CRLpath = {nowhere}", (MISSING,) * 5),
    Row("expired", CHAIN + "CRLfile = {expired}", (EXPIRED,) * 5),
    Row("not yet valid", CHAIN + "CRLfile = {future}", (NOT_YET,) * 5),
    Row("an old list and a newer one", CHAIN + "CRLfile = {both}", BY_LIST),
    Row("lists in the trust directory", "verifyChain = yes\nCApath = {trust_path}\nCRLpath = {nothing_path}", BY_LIST),
    Row("of a stranger", CHAIN + "CRLfile = {stranger}", (MISSING,) * 5),
    Row("verify = 0", "verify = 0\nCAfile = {ca}\nCRLfile = {all}", (UNCHECKED,) * 5),
    Row("not verified at all", "CAfile = {ca}\nCRLfile = {all}", ("",) * 5),
    Row("verifyPeer alone", "verifyPeer = yes\nCAfile = {installed}\nCRLfile = {all}",
        (ACCEPTED, REVOKED, ACCEPTED, REVOKED, ACCEPTED)),
    Row("verifyPeer alone, no list", "verifyPeer = yes\nCAfile = {installed}\nCRLfile = {stranger}", (MISSING,) * 5),
)


class Lists:
    """The certificates and the lists of the table."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        root = Authority(directory, "root")
        below = Authority(directory, "below", root)
        revoked = Authority(directory, "revoked", root)
        stranger = Authority(directory, "stranger")
        issuers = dict(zip(PEERS, (root, root, below, below, revoked), strict=True))
        self.peers: Mapping[str, Identity] = {
            name: issuer.issue(Wish(name=name, dns=["localhost"], both=True)) for name, issuer in issuers.items()
        }
        bad = self.peers["revoked"].certificate
        worse = self.peers["revoked below"].certificate
        of_root, of_below = root.revocations(bad, revoked.certificate), below.revocations(worse)
        of_revoked = revoked.revocations()
        self._names = {
            "ca": root.ca_file,
            "all": self._file("all", of_root + of_below + of_revoked),
            "all_path": self._path("all", of_root, of_below, of_revoked),
            "root": self._file("root", of_root),
            "root_path": self._path("root", of_root),
            "below": self._file("below", of_below + of_revoked),
            "below_path": self._path("below", of_below, of_revoked),
            "nothing_path": self._path("nothing"),
            "nowhere": directory / "nowhere",
            "expired": self._file("expired", *(one.revocations(start=-9, end=-1) for one in (root, below, revoked))),
            "future": self._file("future", *(one.revocations(start=3) for one in (root, below, revoked))),
            "both": self._file("both", root.revocations(start=-9, end=-1), of_root, of_below, of_revoked),
            "stranger": self._file("stranger", stranger.revocations()),
            "trust_path": self._path("trust", of_root, of_below, of_revoked, root.ca_file.read_bytes()),
            "installed": self._file("installed", *(peer.cert.read_bytes() for peer in self.peers.values())),
        }

    def fill(self, settings: str) -> str:
        """Settings with the names of files in them."""
        return settings.format_map(self._names)

    def _file(self, name: str, *content: bytes) -> Path:
        path = self._directory / f"{name}-list.pem"
        path.write_bytes(b"".join(content))
        return path

    def _path(self, name: str, *content: bytes) -> Path:
        directory = self._directory / f"{name}-lists"
        directory.mkdir()
        for number, one in enumerate(content):
            (directory / f"{number}.pem").write_bytes(one)
        subprocess.run([needs.program("openssl"), "rehash", str(directory)], check=True, capture_output=True)
        return directory


@dataclass(frozen=True)
class Running:
    """A program that serves the whole table."""

    daemon: Daemon
    lists: Lists
    ports: Mapping[tuple[str, ...], int]

    def told(self, service: str, address: tuple[str, int]) -> str:
        """What the log says of the connection to a service that came from an address, to its end."""
        line = self.daemon.wait_for(f"Service [{service}] accepted connection from {address[0]}:{address[1]}")
        found = re.search(r"LOG\d\[(\w+)\]", line)
        assert found is not None
        self.daemon.wait_for(f"LOG5[{found[1]}]: Connection ")
        return "\n".join(line for line in self.daemon.output.splitlines() if f"[{found[1]}]: " in line)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Lists:
    """The certificates and lists."""
    return Lists(tmp_path_factory.mktemp("lists"))


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The program: everything runs with gtunnel, and with stunnel4."""
    if request.param == "stunnel4":
        needs.program("stunnel4")
    return str(request.param)


@pytest.fixture(scope="module")
def serving(kind: str, lists: Lists, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All rows as servers, in one process."""
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("serving"))
    numbers: dict[tuple[str, ...], int] = {(row.name,): ports.free_port() for row in ROWS}
    with Server(servers.echo) as backend:
        conf = "".join(
            f"[{row.name}]\naccept = 127.0.0.1:{numbers[row.name,]}\nconnect = {backend.endpoint}\n"
            f"cert = {lists.peers['good'].pem}\n{lists.fill(row.settings)}\n"
            for row in ROWS
        )
        yield Running(tunnels(conf, preamble=PREAMBLE), lists, numbers)
        tunnels.close()


def fate(accepted: bool, log: str, expected: str) -> str:
    """What became of a connection, in the terms of the table."""
    good = expected in (ACCEPTED, UNCHECKED, "")
    if accepted != good or (expected and expected not in log):
        return f"{'accepted' if accepted else 'refused'}: {log}"
    if not good and not all(text in log for text in ("Rejected by CERT at depth=", "certificate verify failed")):
        return f"refused otherwise: {log}"
    return expected


def connected(port: int, meet: Callable[[socket.socket], bool]) -> tuple[tuple[str, int], bool]:
    """Connect and see whether it carries data; from which address it was."""
    with socket.socket() as connection:
        connection.settimeout(PATIENCE)
        connection.bind(("127.0.0.1", 0))
        address = connection.getsockname()
        try:
            connection.connect(("127.0.0.1", port))
            return address, meet(connection)
        except (OSError, tls.TruncatedError):
            return address, False


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_server_turns_away_whom_a_list_names(serving: Running, row: Row) -> None:
    fates = []
    for name, expected in zip(PEERS, row.fates, strict=True):
        context = tls.client_context(identity=serving.lists.peers[name])

        def meet(connection: socket.socket, context: object = context) -> bool:
            with tls.TlsPeer(connection, context) as peer:  # type: ignore[arg-type]
                peer.send(b"x")
                return peer.receive(1) == b"x"

        address, accepted = connected(serving.ports[row.name,], meet)
        fates.append(fate(accepted, serving.told(row.name, address), expected))
    print([re.findall(r"CERT: .*|accepted at depth=0|verification disab\w+", f)[-1:] or f[:9] for f in fates]); assert dict(zip(PEERS, fates, strict=True)) == dict(zip(PEERS, row.fates, strict=True))
