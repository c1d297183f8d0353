"""Revocation lists: whom they turn away, in both roles; the same answers from gtunnel and from stunnel4."""

import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
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
NOT_ASKED = ""
SAFER = "refused by gtunnel only"

# Certificates of the root, of the intermediate CA, and of an intermediate CA that is revoked itself.
PEERS = ("good", "revoked", "below", "revoked below", "below revoked")


@dataclass(frozen=True)
class Row:
    """Settings of a service, and what becomes of each peer. `{root}` and the like name files of `Lists`."""

    name: str
    settings: str
    fates: tuple[str, ...]


CHAIN = "verifyChain = yes\nCAfile = {ca}\n"
# stunnel looks at the peer's own certificate only; gtunnel refuses what an intermediate CA issued that a list names.
BY_LIST = (ACCEPTED, REVOKED, ACCEPTED, REVOKED, SAFER)
NO_LIST_OF_THE_INTERMEDIATE = (ACCEPTED, REVOKED, MISSING, MISSING, MISSING)
# Nobody has a list for the intermediate CAs here: that is let pass.
BY_THE_INTERMEDIATES_LIST = (MISSING, MISSING, ACCEPTED, REVOKED, ACCEPTED)

ROWS = (
    Row("no list", CHAIN, (ACCEPTED,) * 5),
    Row("all lists in a file", CHAIN + "CRLfile = {all}", BY_LIST),
    Row("all lists in a directory", CHAIN + "CRLpath = {all_path}", BY_LIST),
    Row("the root's list only", CHAIN + "CRLfile = {root}", NO_LIST_OF_THE_INTERMEDIATE),
    Row("the root's list only, in a directory", CHAIN + "CRLpath = {root_path}", NO_LIST_OF_THE_INTERMEDIATE),
    Row("the root's in a file, the others in a directory", CHAIN + "CRLfile = {root}\nCRLpath = {below_path}", BY_LIST),
    Row("the intermediate's list only", CHAIN + "CRLfile = {below}", BY_THE_INTERMEDIATES_LIST),
    Row("an expired list of the root", CHAIN + "CRLfile = {half_expired}",
        (EXPIRED, EXPIRED, ACCEPTED, REVOKED, SAFER)),
    Row("an empty directory", CHAIN + "CRLpath = {nothing_path}", (MISSING,) * 5),
    Row("expired", CHAIN + "CRLfile = {expired}", (EXPIRED,) * 5),
    Row("not yet valid", CHAIN + "CRLfile = {future}", (NOT_YET,) * 5),
    Row("an old list and a newer one", CHAIN + "CRLfile = {both}", BY_LIST),
    Row("lists in the trust directory", "verifyChain = yes\nCApath = {trust_path}\nCRLpath = {nothing_path}", BY_LIST),
    Row("of a stranger", CHAIN + "CRLfile = {stranger}", (MISSING,) * 5),
    Row("verify = 0", "verify = 0\nCAfile = {ca}\nCRLfile = {all}", (UNCHECKED,) * 5),
    Row("verify = 2", "verify = 2\nCAfile = {ca}\nCRLfile = {all}", BY_LIST),
    Row("verify = 3", "verify = 3\nCAfile = {installed}\nCRLfile = {all}", BY_LIST),
    Row("not verified at all", "CAfile = {ca}\nCRLfile = {all}", (NOT_ASKED,) * 5),
    Row("verifyPeer alone", "verifyPeer = yes\nCAfile = {installed}\nCRLfile = {all}",
        (ACCEPTED, REVOKED, ACCEPTED, REVOKED, ACCEPTED)),
    Row("verifyPeer alone, no list", "verifyPeer = yes\nCAfile = {installed}\nCRLfile = {stranger}", (MISSING,) * 5),
)  # fmt: skip


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
        self._names: Mapping[str, Path] = {
            "ca": root.ca_file,
            "nowhere": directory / "nowhere",
            "all": self._file("all", of_root + of_below + of_revoked),
            "all_path": self._path("all", of_root, of_below, of_revoked),
            "root": self._file("root", of_root),
            "root_path": self._path("root", of_root),
            "below": self._file("below", of_below + of_revoked),
            "below_path": self._path("below", of_below, of_revoked),
            "nothing_path": self._path("nothing"),
            "expired": self._file("expired", *(one.revocations(start=-9, end=-1) for one in (root, below, revoked))),
            "half_expired": self._file(
                "half", root.revocations(revoked.certificate, start=-9, end=-1), of_below, of_revoked
            ),
            "future": self._file("future", *(one.revocations(start=3) for one in (root, below, revoked))),
            "both": self._file("both", root.revocations(start=-9, end=-1), of_root, of_below, of_revoked),
            "stranger": self._file("stranger", stranger.revocations()),
            "trust_path": self._path("trust", of_root, of_below, of_revoked, root.ca_file.read_bytes()),
            "installed": self._file("installed", *(peer.cert.read_bytes() for peer in self.peers.values())),
        }

    def fill(self, settings: str) -> str:
        """Settings with the names of files in them."""
        return settings.format_map(self._names)

    def fill_path(self, name: str) -> Path:
        """One of the files."""
        return self._names[name]

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
    asked: Counter[str] = field(default_factory=Counter)

    def told(self, service: str, address: tuple[str, int]) -> str:
        """What the log says of the connection to a service that came from an address, to its end."""
        text = f"Service [{service}] accepted connection from {address[0]}:{address[1]}"
        # The kernel gives the same port out again, sooner or later.
        self.asked[text] += 1
        line = self.daemon.wait_for(text, times=self.asked[text])
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


@pytest.fixture(scope="module")
def calling(kind: str, lists: Lists, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All rows as clients, in one process: a service for each server."""
    tunnels = Tunnels(kind, tmp_path_factory.mktemp("calling"))
    numbers: dict[tuple[str, ...], int] = {}
    conf = ""
    with ExitStack() as stack:
        for name, identity in lists.peers.items():
            server = stack.enter_context(Server(tls.serve(tls.tls_echo, tls.server_context(identity))))
            for row in ROWS:
                port = numbers[row.name, name] = ports.free_port()
                conf += f"[{row.name} / {name}]\nclient = yes\naccept = 127.0.0.1:{port}\n"
                conf += f"connect = {server.endpoint}\n{lists.fill(row.settings)}\n"
        yield Running(tunnels(conf, preamble=PREAMBLE), lists, numbers)
        tunnels.close()


def expectation(expected: str, kind: str) -> str:
    """What becomes of a peer with one program."""
    if expected is SAFER:
        return REVOKED if kind == "gtunnel" else ACCEPTED
    return expected


def fate(accepted: bool, log: str, expected: str) -> str:
    """What became of a connection, in the terms of the table."""
    good = expected in (ACCEPTED, UNCHECKED, NOT_ASKED)
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
def test_a_server_turns_away_whom_a_list_names(kind: str, serving: Running, row: Row) -> None:
    expected = [expectation(fate, kind) for fate in row.fates]
    fates = []
    for name, one in zip(PEERS, expected, strict=True):

        def meet(connection: socket.socket, name: str = name) -> bool:
            with tls.TlsPeer(connection, tls.client_context(identity=serving.lists.peers[name])) as peer:
                peer.send(b"x")
                return peer.receive(1) == b"x"

        address, accepted = connected(serving.ports[row.name,], meet)
        fates.append(fate(accepted, serving.told(row.name, address), one))
    assert dict(zip(PEERS, fates, strict=True)) == dict(zip(PEERS, expected, strict=True))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_client_leaves_alone_what_a_list_names(kind: str, calling: Running, row: Row) -> None:
    # A server always shows its certificate; without verification nobody looks at it.
    expected = [expectation(UNCHECKED if fate is NOT_ASKED else fate, kind) for fate in row.fates]
    fates = []
    for name, one in zip(PEERS, expected, strict=True):

        def meet(connection: socket.socket) -> bool:
            connection.sendall(b"x")
            return connection.recv(1) == b"x"

        address, accepted = connected(calling.ports[row.name, name], meet)
        fates.append(fate(accepted, calling.told(f"{row.name} / {name}", address), one))
    assert dict(zip(PEERS, fates, strict=True)) == dict(zip(PEERS, expected, strict=True))


def test_a_list_that_comes_later_is_found(gtunnel: Tunnels, echo: Server, lists: Lists, tmp_path: Path) -> None:
    directory = tmp_path / "lists"
    shutil.copytree(lists.fill_path("root_path"), directory)
    port = ports.free_port()
    settings = lists.fill("verifyChain = yes\nCAfile = {ca}")
    gtunnel(
        f"workers = 1\n[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n"
        f"cert = {lists.peers['good'].pem}\n{settings}\nCRLpath = {directory}\n"
    )

    def meet(connection: socket.socket) -> bool:
        with tls.TlsPeer(connection, tls.client_context(identity=lists.peers["below"])) as peer:
            peer.send(b"x")
            return peer.receive(1) == b"x"

    assert not connected(port, meet)[1]
    for file in lists.fill_path("below_path").iterdir():
        shutil.copy(file, directory / f"below-{file.name}" if not file.is_symlink() else directory / file.name)
    assert connected(port, meet)[1]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("CRLfile = {nowhere}", "No such file or directory"),
        ("CRLfile = {ca}", "no revocation list in PEM in it"),
        ("CRLpath = {nowhere}", "No such file or directory"),
        ("CRLpath = {ca}", "Not a directory"),
    ],
)
def test_lists_that_cannot_be_read_are_named(gtunnel: Tunnels, lists: Lists, line: str, reason: str) -> None:
    text = f"[it]\nclient = yes\naccept = 127.0.0.1:{ports.free_port()}\nconnect = 127.0.0.1:1\n"
    filled = lists.fill(line)
    output = gtunnel.refuse(f"{text}{lists.fill(CHAIN)}{filled}\n")
    assert f'"{filled}": Service [it]: {reason}' in output
