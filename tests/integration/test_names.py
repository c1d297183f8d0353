"""SNI: services that serve some names of another one, by openssl's client: the same as stunnel4's."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import hellos, peers, tls
from tests.support.certificates import Pki, Wish
from tests.support.daemon import Daemon
from tests.support.servers import Server, hang
from tests.support.tunnels import PREAMBLE, Tunnels
from tests.support.visits import Visit, backend, visit

ServerFactory = Callable[..., Server]
PortFactory = Callable[[], int]


@dataclass(frozen=True)
class Site:
    """A primary service and three others, each with its own backend; the first of them has a certificate of its own."""

    port: int
    running: Daemon

    def visit(self, *options: str, name: str | None, session: Path | None = None) -> Visit:
        return visit(self.port, *options, name=name, session=session)


def identity(pki: Pki, name: str) -> str:
    issued = pki.authority.issue(Wish(name=name, dns=[name]))
    return f"cert = {issued.cert}\nkey = {issued.key}\n"


@pytest.fixture
def site(tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory) -> Site:
    port = free_port()
    main, first, wild, late = (server(backend(name)).endpoint for name in ("main", "first", "wild", "late"))
    running = tunnel(
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{identity(pki, 'main.test')}"
        f"[first]\nsni = main:first.example.org\nconnect = {first}\n{identity(pki, 'first.test')}"
        f"[wild]\nsni = main:*.example.org\nconnect = {wild}\n{identity(pki, 'wild.test')}"
        f"[late]\nsni = main:late.example.org\n"
        f"connect = {late}\n{identity(pki, 'late.test')}"
    )
    return Site(port, running)


# name asked for -> backend
NAMES = {
    "first.example.org": "first",
    "FIRST.Example.ORG": "first",
    "any.example.org": "wild",
    "a.b.example.org": "wild",
    "ANY.EXAMPLE.ORG": "wild",
    # The order written counts, not how well a pattern fits.
    "late.example.org": "wild",
    "example.org": "main",
    "xfirst.example.net": "main",
    "no.such.name": "main",
    None: "main",
}


def test_a_name_leads_to_its_service(site: Site, tls_version: str) -> None:
    only = f"-tls{tls_version.replace('.', '_')}"
    for name, expected in NAMES.items():
        found = site.visit(only, name=name)
        assert (name, found.reached, found.subject) == (name, expected, f"{expected}.test")


@pytest.mark.parametrize(("name", "uses_it"), [("first.example.org", True), ("no.such.name", False)])
def test_a_client_is_told_that_its_name_was_used(site: Site, name: str, *, uses_it: bool) -> None:
    # RFC 6066, section 3. stunnel4 says so in any case.
    if site.running.argv[0].endswith("stunnel4") and not uses_it:
        pytest.skip("stunnel4 has used no name, and says it has")
    done = peers.s_client(site.port, "-tls1_2", "-tlsextdebug", "-servername", name)
    assert (b'server extension "server name"' in done.stdout) is uses_it


def test_a_service_may_have_several_names(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    main, other = (server(backend(name)).endpoint for name in ("main", "other"))
    gtunnel(
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{identity(pki, 'main.test')}"
        f"[other]\nsni = main:one.test\nsni = main:*.two.test\nconnect = {other}\n{identity(pki, 'other.test')}"
    )
    reached = [visit(port, name=name).reached for name in ("one.test", "a.two.test", "two.test")]
    assert reached == ["other", "other", "main"]


def test_a_hello_in_single_bytes_and_several_records(site: Site) -> None:
    for cut, records in ((1, False), (1, True), (100, True), (7, False)):
        context = tls.client_context()
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(into, out, server_hostname="first.example.org")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = out.read()
        if records:
            body = hello[5:]
            parts = [body[at : at + cut] for at in range(0, len(body), cut)]
            hello = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)
        with socket.create_connection(("127.0.0.1", site.port), timeout=15) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            step = cut if not records else len(hello)
            for at in range(0, len(hello), step):
                connection.send(hello[at : at + step])
            received = b""
            while b"reached:first\n" not in received:
                try:
                    received += client.read()
                except ssl.SSLWantReadError:
                    connection.sendall(out.read())
                    data = connection.recv(65536)
                    assert data
                    into.write(data)


def test_what_the_log_says(site: Site) -> None:
    running = site.running
    site.visit(name="any.example.org")
    running.wait_for("SNI: requested servername: any.example.org")
    running.wait_for("SNI: switched to service [wild]")
    site.visit(name="no.such.name")
    running.wait_for("SNI: no pattern matched servername: no.such.name")


def test_each_service_has_its_own_demands(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory, tls_version: str
) -> None:
    port = free_port()
    main, secret = (server(backend(name)).endpoint for name in ("main", "secret"))
    tunnel(
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{identity(pki, 'main.test')}"
        f"[secret]\nsni = main:secret.test\nconnect = {secret}\n{identity(pki, 'secret.test')}"
        f"verifyChain = yes\nCAfile = {pki.ca}\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    alice = ("-cert", str(pki.client.cert), "-key", str(pki.client.key))
    mallory = ("-cert", str(pki.stranger_client.cert), "-key", str(pki.stranger_client.key))
    assert visit(port, only, name="main.test").reached == "main"
    assert visit(port, only, name="secret.test").reached == ""
    assert visit(port, only, *mallory, name="secret.test").reached == ""
    assert visit(port, only, *alice, name="secret.test").reached == "secret"


def test_a_session_of_one_name_opens_no_other(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory, tls_version: str, tmp_path: Path
) -> None:
    port = free_port()
    main, secret = (server(backend(name)).endpoint for name in ("main", "secret"))
    gtunnel(
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{identity(pki, 'main.test')}"
        f"[secret]\nsni = main:secret.test\nconnect = {secret}\n{identity(pki, 'secret.test')}"
        f"verifyChain = yes\nCAfile = {pki.ca}\n"
    )
    only = f"-tls{tls_version.replace('.', '_')}"
    session = tmp_path / "session"
    assert visit(port, only, name="main.test", session=session).reached == "main"
    assert session.exists()
    # stunnel4 5.68 lets such a client in (TLS 1.3).
    assert visit(port, only, name="secret.test", session=session).reached == ""


def test_versions_are_those_of_the_name_s_service(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    main, modern = (server(backend(name)).endpoint for name in ("main", "modern"))
    running = gtunnel(
        f"[modern]\nsni = main:modern.test\nconnect = {modern}\n{identity(pki, 'modern.test')}sslVersionMin = TLSv1.3\n"
        f"[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{identity(pki, 'main.test')}sslVersionMax = TLSv1.2\n"
    )
    assert visit(port, name="main.test").version == "TLSv1.2"
    assert visit(port, name="modern.test").version == "TLSv1.3"
    assert visit(port, "-tls1_2", name="modern.test").reached == ""
    running.wait_for("client offers TLS 1.2 at most, sslVersionMin is TLSv1.3")
    assert visit(port, "-tls1_3", name="main.test").reached == ""
    running.wait_for("client offers TLS 1.3 at least, sslVersionMax is TLSv1.2")


def test_each_service_has_its_own_log_level_and_patience(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    silent = server(hang).endpoint
    running = gtunnel(
        f"debug = 6\n[main]\naccept = 127.0.0.1:{port}\nconnect = {silent}\n{identity(pki, 'main.test')}"
        f"[brief]\nsni = main:brief.test\nconnect = {silent}\n{identity(pki, 'brief.test')}"
        "debug = debug\nTIMEOUTidle = 1\n",
        preamble=PREAMBLE.replace("debug = debug\n", ""),
    )
    with tls.connect(port, name="main.test") as other:
        assert visit(port, name="brief.test").reached == ""
        running.wait_for("TIMEOUTidle exceeded")
        running.wait_for("Service [brief] finished")
        assert other.tls.version()
    running.wait_for("Connection reset", times=2)
    assert "Service [main] finished" not in running.output


def test_a_name_that_is_none_is_refused_and_does_not_fill_the_log(site: Site) -> None:
    for size in (256, 60000):
        with tls_hello(site.port, size) as connection:
            assert connection.recv(1) == b"\x15"
    site.running.wait_for("SSL_accept", times=2)
    assert "x" * 256 not in site.running.output


def tls_hello(port: int, size: int) -> socket.socket:
    """A connection on which a ClientHello was sent that asks for a name of so many letters."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        tls.client_context().wrap_bio(into, out).do_handshake()
    name = b"\0" + size.to_bytes(2) + b"x" * size
    asked = (0, len(name).to_bytes(2) + name)
    connection = socket.create_connection(("127.0.0.1", port), timeout=15)
    connection.sendall(hellos.in_records(hellos.with_extensions(out.read()[9:], asked)))
    return connection


# What is wrong with services of names, in the words of both programs.
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("sni = nobody:a.test\n", "SNI section name not found"),
        ("sni = a.test\n", "Invalid SNI parameter format"),
    ],
)
def test_what_is_wrong_with_a_name_refuses_to_start(
    tunnel: Tunnels, pki: Pki, free_port: PortFactory, more: str, words: str
) -> None:
    said = tunnel.refuse(
        f"[main]\naccept = 127.0.0.1:{free_port()}\nconnect = 1\n{identity(pki, 'main.test')}"
        f"[second]\nconnect = 1\n{identity(pki, 'second.test')}{more}"
    )
    assert words in said
