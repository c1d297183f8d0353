"""Whom OCSP lets in: every kind of answer, in both roles, and what stunnel4 decides about the same.

Each peer of the table has a certificate that names a responder of its own; `openssl ocsp` answers for the first ones.
"""

import contextlib
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from tests.support.peers import curl, nginx, s_client, s_server
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
    }
    if name in embed:
        by = embed[name]
        return lambda _: answer(leaf[0], by, Saying(embed=(by.certificate,)))
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
    # Who is not verified is not asked about; whose issuer is not trusted (verifyPeer) cannot be.
    ("revoked", "verify = 0\nOCSPaia = yes", True),
    ("revoked", "verify = 1\nOCSPaia = yes", False),
    ("good", "verify = 1\nOCSPaia = yes", True),
    ("good", "verifyPeer = yes\nCAfile = {leaf}\nOCSPaia = yes", False),
    ("good", "verifyPeer = yes\nCAfile = {leaf and root}\nOCSPaia = yes", True),
)


@pytest.fixture(scope="module", params=KINDS)
def flagged(request: pytest.FixtureRequest, world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service for each of the cases, in both programs."""
    kind = str(request.param)
    tunnels = Tunnels(kind, tmp_path_factory.mktemp(f"{kind}-flags"))
    near = {str(number): ports.free_port() for number in range(len(CASES))}
    with Server(servers.echo) as echo:
        files = {"leaf": world.directory / "leaf.pem", "leaf and root": world.directory / "leaf-and-root.pem"}
        files["leaf"].write_bytes(pem(world.holders["good"].certificate))
        files["leaf and root"].write_bytes(files["leaf"].read_bytes() + world.ca.read_bytes())
        conf = f"cert = {world.identities['ourselves'].pem}\nCAfile = {world.ca}\n"
        for (_, lines, _), (number, port) in zip(CASES, near.items(), strict=True):
            conf += f"[{number}]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n"
            conf += "" if "verify" in lines else "verifyChain = yes\n"
            conf += f"{lines.format(**world.urls, **files)}\n"
        yield Place(kind, tunnels(conf), 0, near.__getitem__)
        tunnels.close()


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: f"{CASES[number][0]}, {CASES[number][1]}")
def test_options_mean_what_they_mean_in_stunnel(flagged: Place, world: World, number: int) -> None:
    name, _, accepted = CASES[number]
    assert echoes_as_client(flagged.connects(str(number)), world.identities[name]) is accepted


# What only gtunnel can be asked about: stunnel4 5.68 has no staples, no OCSPrequire and no TIMEOUTocsp.


@dataclass(frozen=True)
class Verifier:
    """Where a service accepts, and its process."""

    port: int
    daemon: Daemon


@pytest.fixture
def accepting(gtunnel: Tunnels, world: World, echo: Server) -> Callable[..., Verifier]:
    """`accepting(lines, cert="ourselves")`: a server service before an echo."""

    def start(lines: str, *, cert: str = "ourselves", head: str = "workers = 1\n") -> Verifier:
        port = ports.free_port()
        conf = f"{head}[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n"
        conf += f"cert = {world.identities[cert].pem}\n{lines}\n"
        return Verifier(port, gtunnel(conf))

    return start


def verifying(world: World, *lines: str) -> str:
    """The lines that demand a certificate of the world's CA."""
    return "\n".join(("verifyChain = yes", f"CAfile = {world.ca}", *lines))


INCONCLUSIVE = ("unknown", "expired answer", "stranger's answer", "rubbish", "HTTP error", "unreachable", "silent")


def test_what_is_not_conclusive_can_be_accepted(accepting: Callable[..., Verifier], world: World) -> None:
    here = accepting(verifying(world, "OCSPaia = yes", "OCSPrequire = no", "TIMEOUTocsp = 1"))
    for name in INCONCLUSIVE:
        assert echoes_as_client(here.port, world.identities[name]), name
    assert here.daemon.count("OCSP: Accepted (OCSPrequire = no)") == len(INCONCLUSIVE)
    assert not echoes_as_client(here.port, world.identities["revoked"])
    here.daemon.wait_for("OCSP: Rejected (revoked)")


def test_others_go_on_while_a_responder_is_silent(accepting: Callable[..., Verifier], world: World) -> None:
    here = accepting(verifying(world, "OCSPaia = yes", "TIMEOUTocsp = 60"))
    url = world.urls["silent"]
    with socket.create_connection(("127.0.0.1", here.port), timeout=15) as waiting:
        context = tls.client_context(identity=world.identities["silent"], version="1.3")
        with tls.TlsPeer(waiting, context, server_hostname="localhost") as peer:
            peer.send(b"hello")
            here.daemon.wait_for(f'OCSP: Connecting the AIA responder "{url}"')
            for _ in range(3):
                assert echoes_as_client(here.port, world.identities["good"])
                assert not echoes_as_client(here.port, world.identities["revoked"])
            assert here.daemon.count("TIMEOUTocsp exceeded") == 0
            waiting.setblocking(False)
            with pytest.raises(BlockingIOError):
                waiting.recv(1)


def test_who_is_refused_in_tls_1_2_sees_no_finished_handshake(accepting: Callable[..., Verifier], world: World) -> None:
    here = accepting(verifying(world, "OCSPaia = yes"))
    context = tls.client_context(identity=world.identities["revoked"], version="1.2")
    with pytest.raises((tls.TruncatedError, OSError)):
        tls.connect(here.port, context).receive()
    here.daemon.wait_for("SSL_accept: SSL routines::certificate verify failed")
    here.daemon.wait_for("Connection reset: 0 byte(s) sent to TLS, 0 byte(s) sent to socket")


@pytest.mark.parametrize("ticket", [(), ("-no_ticket",)], ids=["ticket", "session id"])
def test_who_is_refused_gets_no_session(
    accepting: Callable[..., Verifier], world: World, tmp_path: Path, tls_version: str, ticket: tuple[str, ...]
) -> None:
    here = accepting(verifying(world, "OCSPaia = yes"))
    me = world.identities["revoked"]
    version = "-tls1_3" if tls_version == "1.3" else "-tls1_2"
    session = tmp_path / "session"
    options = ("-cert", str(me.cert), "-cert_chain", str(me.cert), "-key", str(me.key), version, *ticket)
    s_client(here.port, *options, "-sess_out", str(session), send=b"hello\n")
    here.daemon.wait_for("Rejected by OCSP at depth=0: CN=revoked")
    if session.exists() and session.stat().st_size:
        again = s_client(here.port, *options, "-sess_in", str(session), send=b"hello\n")
        assert b"Reused" not in again.stdout
    assert here.daemon.count("previous session reused") == 0
    assert here.daemon.count("TLS accepted") == 0


def test_a_resumed_session_is_asked_about_again(
    accepting: Callable[..., Verifier], world: World, tmp_path: Path, tls_version: str
) -> None:
    said = [Saying()]
    holder: list[Holder] = []
    with Responder(lambda _: answer(holder[0], world.sub, said[0])) as responder:
        holder.append(issue(world.sub, "turncoat", responders=[responder.url]))
        me = holder[0].identity(tmp_path, "turncoat")
        # Without an end, an answer is not kept.
        said[0] = Saying(ends=None)
        here = accepting(verifying(world, "OCSPaia = yes"))
        context = tls.client_context(identity=me, version=tls_version)
        with tls.connect(here.port, context) as first:
            first.send(b"hello")
            assert first.receive_exactly(5) == b"hello"
            session = first.tls.session
        for reply, accepted in ((Saying(ends=None), True), (Saying(status=ocsp.OCSPCertStatus.REVOKED), False)):
            said[0] = reply
            assert resumed(here.port, context, session) is accepted
        assert here.daemon.count("TLS accepted: previous session reused") == 1
        assert len(responder.requests) == 3
        here.daemon.wait_for("Rejected by OCSP at depth=0: CN=turncoat")


def resumed(port: int, context: ssl.SSLContext, session: ssl.SSLSession | None) -> bool:
    """Whether a client that resumes a session gets its data back."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="localhost", session=session)
    with socket.create_connection(("127.0.0.1", port), timeout=15) as sock:
        for step in (client.do_handshake, lambda: client.write(b"hello"), lambda: client.read(5)):
            while True:
                try:
                    result = step()
                    break
                except ssl.SSLWantReadError:
                    with contextlib.suppress(OSError):
                        sock.sendall(outgoing.read())
                    try:
                        data = sock.recv(65536)
                    except ConnectionError:
                        return False
                    if not data:
                        return False
                    incoming.write(data)
            sock.sendall(outgoing.read())
    return result == b"hello"


def test_answers_are_kept_and_shared(accepting: Callable[..., Verifier], world: World, tmp_path: Path) -> None:
    holder: list[Holder] = []
    with Responder(lambda _: answer(holder[0], world.sub)) as responder:
        holder.append(issue(world.sub, "regular", responders=[responder.url]))
        me = holder[0].identity(tmp_path, "regular")
        here = accepting(verifying(world, "OCSPaia = yes"))
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: echoes_as_client(here.port, me), range(24)))
        assert len(responder.requests) == 1


def test_the_revoked_are_redirected_and_those_nobody_vouches_for_not_asked_about(
    accepting: Callable[..., Verifier], world: World, server: Callable[..., Server], tmp_path: Path
) -> None:
    elsewhere = server(servers.source(b"elsewhere"))
    here = accepting(verifying(world, "OCSPaia = yes", f"redirect = {elsewhere.port}"))
    with Responder(lambda _: b"") as curious:
        stranger = issue(root("stranger"), "stranger", responders=[curious.url]).identity(tmp_path, "stranger")
        for identity in (world.identities["revoked"], world.identities["unreachable"], stranger):
            with tls.connect(here.port, tls.client_context(identity=identity)) as peer:
                assert peer.receive_exactly(9) == b"elsewhere"
        assert not curious.requests
    assert echoes_as_client(here.port, world.identities["good"])
    assert here.daemon.count("Redirecting connection") == 3


@pytest.mark.root
def test_a_jail_does_not_keep_from_asking(accepting: Callable[..., Verifier], world: World, tmp_path: Path) -> None:
    jail = tmp_path / "jail"
    jail.mkdir()
    head = f"chroot = {jail}\nsetuid = nobody\nsetgid = nogroup\n"
    here = accepting(verifying(world, "OCSPaia = yes", "OCSPnonce = yes"), head=head, cert="good")
    assert echoes_as_client(here.port, world.identities["good"])
    assert not echoes_as_client(here.port, world.identities["revoked"])
    here.daemon.wait_for("OCSP: Rejected (revoked)")
    here.daemon.wait_for("OCSP: Stapling the answer of")


STAPLES = {"good": True, "revoked": False, "none": True, "rubbish": True, "stranger": True}


@pytest.mark.parametrize("name", STAPLES)
def test_a_client_judges_what_its_server_staples(
    gtunnel: Tunnels, world: World, tmp_path: Path, name: str
) -> None:
    leaf = world.holders["nobody named"]
    stapled = {
        "good": answer(leaf, world.sub),
        "revoked": answer(leaf, world.sub, Saying(status=ocsp.OCSPCertStatus.REVOKED)),
        "stranger": answer(leaf, root("stranger")),
    }
    me = world.identities["nobody named"]
    options = ["-cert_chain", str(me.cert), "-rev"]
    if name in stapled:
        file = tmp_path / "staple.der"
        file.write_bytes(stapled[name])
        options += ["-status_file", str(file)]
    far, near = ports.free_port(), ports.free_port()
    with s_server(me, far, *options):
        conf = f"[it]\nclient = yes\naccept = 127.0.0.1:{near}\nconnect = 127.0.0.1:{far}\n{verifying(world)}\n"
        running = gtunnel(conf)
        with socket.create_connection(("127.0.0.1", near), timeout=15) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(b"hello\n")
            assert (sock.recv(16) == b"olleh\n") is STAPLES[name]
        if name == "good":
            running.wait_for("OCSP: Accepted (good)")
        elif name == "revoked":
            running.wait_for("Rejected by OCSP at depth=0: CN=nobody named")
        elif name == "stranger":
            running.wait_for("(stapled by the peer)")


@pytest.mark.parametrize("lines", ["OCSPaia = yes", "OCSP = {good}"])
def test_a_server_staples_what_a_responder_said(
    accepting: Callable[..., Verifier], world: World, tls_version: str, lines: str
) -> None:
    here = accepting(lines.format(**world.urls), cert="good")
    here.daemon.wait_for("OCSP: Stapling the answer of")
    version = "-tls1_3" if tls_version == "1.3" else "-tls1_2"
    seen = s_client(here.port, "-status", version, "-no_ign_eof", "-CAfile", str(world.ca)).stdout
    assert b"OCSP Response Status: successful (0x0)" in seen
    assert b"Cert Status: good" in seen


def test_a_server_waits_for_no_staple(accepting: Callable[..., Verifier]) -> None:
    for name in ("silent", "unreachable", "rubbish", "revoked"):
        here = accepting("OCSPaia = yes\nTIMEOUTocsp = 60", cert=name)
        seen = s_client(here.port, "-status", "-no_ign_eof").stdout
        assert b"OCSP response: no response sent" in seen, name


def test_gtunnel_believes_gtunnels_staple(gtunnel: Tunnels, accepting: Callable[..., Verifier], world: World) -> None:
    there = accepting("OCSPaia = yes", cert="good")
    there.daemon.wait_for("OCSP: Stapling the answer of")
    near = ports.free_port()
    conf = f"[c]\nclient = yes\naccept = 127.0.0.1:{near}\nconnect = 127.0.0.1:{there.port}\n{verifying(world)}\n"
    client = gtunnel(conf)
    assert echoes_plainly(near)
    client.wait_for("OCSP: The peer stapled an answer")
    client.wait_for("OCSP: Accepted (good)")


def test_debians_sample_configuration_is_read(gtunnel: Tunnels, tmp_path: Path) -> None:
    sample = Path("/usr/share/doc/stunnel4/examples/stunnel.conf-sample")
    if not sample.exists():
        pytest.skip("stunnel4's examples are not installed")
    conf = tmp_path / "sample.conf"
    # Its ports are for root, and perhaps taken.
    text = re.sub(r"(?m)^accept\s*=.*$", lambda _: f"accept = 127.0.0.1:{ports.free_port()}", sample.read_text())
    conf.write_text(re.sub(r"(?m)^connect\s*=.*$", "connect = 127.0.0.1:9", text))
    done = gtunnel.run("check", conf)
    assert done.returncode == 0, done.stdout + done.stderr


def answer_http(connection: socket.socket) -> None:
    """One request, one answer."""
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += connection.recv(65536)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def test_curl_believes_our_staple_and_misses_it_where_there_is_none(
    gtunnel: Tunnels, world: World, server: Callable[..., Server]
) -> None:
    backend = server(answer_http)
    port, plain = ports.free_port(), ports.free_port()
    running = gtunnel(
        f"[stapled]\naccept = 127.0.0.1:{port}\nconnect = {backend.endpoint}\n"
        f"cert = {world.identities['good'].pem}\nOCSPaia = yes\n"
        f"[plain]\naccept = 127.0.0.1:{plain}\nconnect = {backend.endpoint}\ncert = {world.identities['good'].pem}\n"
    )
    # A line for each worker: any of them may get the connection.
    running.wait_for("OCSP: Stapling the answer of", times=os.cpu_count() or 1)
    options = ("--cacert", str(world.ca), "--cert-status")
    done = curl(*options, f"https://localhost:{port}/")
    if "not supported" in done.stderr:
        pytest.skip("this curl knows no staples")
    assert done.stdout == "hello", done.stderr
    assert curl(*options, f"https://localhost:{plain}/").returncode == 91  # CURLE_SSL_INVALIDCERTSTATUS


def test_what_nginx_staples_is_judged(gtunnel: Tunnels, world: World, tmp_path: Path) -> None:
    leaf, me = world.holders["nobody named"], world.identities["nobody named"]
    conf, blocks = "", ""
    near: dict[ocsp.OCSPCertStatus, int] = {}
    for status in (ocsp.OCSPCertStatus.GOOD, ocsp.OCSPCertStatus.REVOKED):
        file = tmp_path / status.name
        file.write_bytes(answer(leaf, world.sub, Saying(status=status)))
        far, near[status] = ports.free_port(), ports.free_port()
        conf += f"[{status.name}]\nclient = yes\naccept = 127.0.0.1:{near[status]}\nconnect = 127.0.0.1:{far}\n"
        conf += verifying(world) + "\n"
        blocks += blocks_of(far, me, file)
    with nginx(tmp_path / "nginx", http=blocks):
        gtunnel(conf)
        for status, port in near.items():
            seen = curl(f"http://127.0.0.1:{port}/").stdout
            assert (seen == "hello") is (status is ocsp.OCSPCertStatus.GOOD)


def blocks_of(port: int, identity: Identity, staple: Path) -> str:
    """A server of nginx that staples a file."""
    return (
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {identity.cert}; ssl_certificate_key {identity.key};"
        f" ssl_stapling on; ssl_stapling_file {staple}; return 200 hello; }}\n"
    )
