"""Whom OCSP lets in: every kind of answer, in both roles, and what stunnel4 decides about the same.

Each peer of the table has a certificate that names a responder of its own; `openssl ocsp` answers for the first ones.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from tests.conftest import KINDS
from tests.support import ports, servers, tls
from tests.support.certificates import Identity
from tests.support.daemon import Daemon
from tests.support.revocation import (
    Holder,
    Records,
    Responder,
    Saying,
    answer,
    issue,
    openssl_responder,
    pem,
    root,
    signer,
)
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

# Who is accepted. `silent` is the slow one: stunnel4 gives a responder TIMEOUTbusy, gtunnel TIMEOUTocsp.
FATES = {
    "good": True,
    "revoked": False,
    "unknown": False,
    "delegated": True,
    "nobody named": True,
    "second named": True,
    "expired answer": False,
    "answer of tomorrow": False,
    "stranger's answer": False,
    "stranger's delegate": False,
    "leaf's own answer": False,
    "about another": False,
    "rubbish": False,
    "nothing": False,
    "try later": False,
    "HTTP error": False,
    "unreachable": False,
    "silent": False,
}
REJECTED = "Rejected by OCSP at depth=0: CN="
SETTINGS = "verifyChain = yes\nCAfile = {ca}\nOCSPaia = yes\nTIMEOUTbusy = 3\n"
TIMEOUT_OCSP = "TIMEOUTocsp = 1\n"


@dataclass(frozen=True)
class World:
    """The CA, who can be met, and the files."""

    directory: Path
    ca: Path
    top: Holder
    sub: Holder
    holders: dict[str, Holder]
    identities: dict[str, Identity]
    urls: dict[str, str]
    nonce_url: str


def said_by(name: str, leaf: list[Holder], sub: Holder) -> Callable[[bytes], bytes]:
    """What a peer's own responder says, of the leaf that will have been made by then."""
    stranger = root("stranger")
    late = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    embed = {"stranger's delegate": signer(stranger), "stranger's answer": stranger}
    replies: dict[str, Callable[[], bytes]] = {
        "expired answer": lambda: answer(leaf[0], sub, Saying(begins=-3.0, ends=-2.0)),
        "answer of tomorrow": lambda: answer(leaf[0], sub, Saying(begins=1.0, ends=2.0)),
        "leaf's own answer": lambda: answer(leaf[0], leaf[0]),
        "about another": lambda: answer(issue(sub, "another"), sub),
        "rubbish": lambda: b"rubbish",
        "nothing": lambda: b"",
        "try later": lambda: late.public_bytes(Encoding.DER),
        "HTTP error": lambda: answer(leaf[0], sub),
        **{key: lambda by=by: answer(leaf[0], by, Saying(embed=(by.certificate,))) for key, by in embed.items()},
    }
    return lambda _: replies[name]()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everybody, and their responders."""
    directory = tmp_path_factory.mktemp("ocsp")
    top = root("top")
    with ExitStack() as stack:
        of_top, of_sub, delegated, no_end = (ports.free_port() for _ in range(4))
        url = "http://127.0.0.1:{}/".format
        sub = issue(top, "sub", ca=True, responders=[url(of_top)])
        silent = stack.enter_context(Server(servers.hang))
        unreachable = url(ports.free_port())
        named = {
            **{key: [url(of_sub)] for key in ("good", "revoked", "unknown")},
            "delegated": [url(delegated)],
            "nobody named": [],
            "second named": [unreachable, url(of_sub)],
            "unreachable": [unreachable],
            "silent": [f"http://{silent.endpoint}/"],
        }
        holders = {}
        for name in FATES:
            holder: list[Holder] = []
            if name not in named:
                status = 500 if name == "HTTP error" else 200
                named[name] = [stack.enter_context(Responder(said_by(name, holder, sub), status=status)).url]
            holders[name] = issue(sub, name, responders=named[name])
            holder.append(holders[name])
        holders["ourselves"] = issue(sub, "localhost")
        known = {holders[name].certificate: "V" for name in ("good", "second named", "delegated", "nobody named")}
        records = Records({**known, holders["revoked"].certificate: "R"})
        for name, port, ca, entries, by, options in (
            ("top", of_top, top, Records({sub.certificate: "V"}), None, ("-ndays", "1")),
            ("sub", of_sub, sub, records, None, ("-ndays", "1")),
            ("delegated", delegated, sub, records, signer(sub), ("-nmin", "5")),
            ("no end", no_end, sub, records, None, ()),
        ):
            responder = openssl_responder(directory / name, port, ca, entries, *options, signed_by=by)
            stack.callback(responder.kill)
        ca_file = directory / "ca.pem"
        ca_file.write_bytes(pem(top.certificate))
        identities = {
            name: holder.identity(directory, f"identity-{number}")
            for number, (name, holder) in enumerate(holders.items())
        }
        urls = {name: found[0] for name, found in named.items() if found}
        yield World(directory, ca_file, top, sub, holders, identities, urls, url(no_end))


@dataclass(frozen=True)
class Place:
    """A running tunnel with one service for each role: `accepts` verifies its clients, `connects` its server."""

    kind: str
    daemon: Daemon
    accepts: int
    connects: Callable[[str], int]


def settings(world: World, kind: str, lines: str = SETTINGS) -> str:
    """The lines of a service, for one of the programs."""
    return lines.format(ca=world.ca) + (TIMEOUT_OCSP if kind == "gtunnel" else "")


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Both programs, as server and as client of everybody."""
    kind = str(request.param)
    tunnels = Tunnels(kind, tmp_path_factory.mktemp(kind))
    lines = settings(world, kind)
    accepts = ports.free_port()
    with ExitStack() as stack:
        echo = stack.enter_context(Server(servers.echo))
        conf = f"[accepts]\naccept = 127.0.0.1:{accepts}\nconnect = {echo.endpoint}\n"
        conf += f"cert = {world.identities['ourselves'].pem}\n{lines}"
        near: dict[str, int] = {}
        for name in FATES:
            far = stack.enter_context(Server(tls.serve(tls.tls_echo, tls.server_context(world.identities[name]))))
            near[name] = ports.free_port()
            conf += f"[{name}]\nclient = yes\naccept = 127.0.0.1:{near[name]}\nconnect = {far.endpoint}\n{lines}"
        daemon = tunnels(conf)
        yield Place(kind, daemon, accepts, near.__getitem__)
        tunnels.close()


def echoes_as_client(port: int, identity: Identity, version: str = "") -> bool:
    """Whether a TLS client with this certificate gets its data back."""
    try:
        with tls.connect(port, tls.client_context(identity=identity, version=version)) as peer:
            peer.send(b"hello")
            return peer.receive_exactly(5) == b"hello"
    except (OSError, tls.TruncatedError):
        return False


def echoes_plainly(port: int) -> bool:
    """Whether a plain client gets its data back."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        try:
            sock.sendall(b"hello")
            return sock.recv(16) == b"hello"
        except ConnectionError:
            return False


@pytest.mark.parametrize("name", FATES)
def test_servers_ask_about_their_clients(place: Place, world: World, name: str) -> None:
    assert echoes_as_client(place.accepts, world.identities[name]) is FATES[name]
    if not FATES[name]:
        place.daemon.wait_for(f"{REJECTED}{name}")


@pytest.mark.parametrize("name", FATES)
def test_clients_ask_about_their_server(place: Place, name: str) -> None:
    assert echoes_plainly(place.connects(name)) is FATES[name]
    if not FATES[name]:
        place.daemon.wait_for(f"{REJECTED}{name}")


CASES = (
    ("revoked", "OCSP = {good}", False),
    ("good", "OCSP = {unreachable}", False),
    ("good", "OCSP = {unreachable}\nOCSPaia = yes", False),
    ("expired answer", "OCSP = {good}\nOCSPflag = NOCHECKS", False),
    ("good", "OCSPaia = yes\nOCSPnonce = yes", True),
    ("revoked", "OCSPaia = yes\nOCSPnonce = yes", False),
    ("stranger's answer", "OCSPaia = yes\nOCSPflag = NOVERIFY", True),
    ("stranger's answer", "OCSPaia = yes\nOCSPflag = NOCHECKS", False),
    ("stranger's answer", "OCSPaia = yes\nOCSPflag = NOVERIFY\nOCSPflag = NOINTERN", False),
    ("stranger's answer", "OCSPaia = yes\nOCSPflag = NOSIGS", False),
    ("leaf's own answer", "OCSPaia = yes\nOCSPflag = NOCHECKS", True),
    ("leaf's own answer", "OCSPaia = yes\nOCSPflag = TRUSTOTHER", True),
    ("leaf's own answer", "OCSPaia = yes\nOCSPflag = NOEXPLICIT", False),
    ("delegated", "OCSPaia = yes\nOCSPflag = NOCHAIN", False),
    ("delegated", "OCSPaia = yes\nOCSPflag = NOINTERN", False),
    ("delegated", "OCSPaia = yes\nOCSPflag = NODELEGATED", True),
    ("good", "OCSPaia = yes\nOCSPflag = NOCASIGN", True),
    ("good", "OCSPaia = yes\nOCSPflag = NOCHAIN", True),
    ("good", "OCSPaia = yes\nOCSPflag = NOINTERN", True),
    ("good", "OCSPaia = yes\nOCSPflag = NOTIME\nOCSPflag = NOCERTS\nOCSPflag = RESPID_KEY", True),
    ("expired answer", "OCSPaia = yes\nOCSPflag = NOTIME", False),
    ("revoked", "", True),
)


@pytest.fixture(scope="module", params=KINDS)
def flagged(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service for each of the cases, in both programs."""
    kind = str(request.param)
    tunnels = Tunnels(kind, tmp_path_factory.mktemp(f"{kind}-flags"))
    near = {str(number): ports.free_port() for number in range(len(CASES))}
    with Server(servers.echo) as echo:
        conf = f"cert = {world.identities['ourselves'].pem}\nverifyChain = yes\nCAfile = {world.ca}\n"
        for (_, lines, _), (number, port) in zip(CASES, near.items(), strict=True):
            conf += f"[{number}]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n{lines.format(**world.urls)}\n"
        yield Place(kind, tunnels(conf), 0, near.__getitem__)
        tunnels.close()


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number][0]}, {CASES[number][1]}")
def test_options_mean_what_they_mean_in_stunnel(flagged: Place, world: World, number: int) -> None:
    name, _, accepted = CASES[number]
    assert echoes_as_client(flagged.connects(str(number)), world.identities[name]) is accepted
