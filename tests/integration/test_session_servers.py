"""Sessions of several machines on one server: stunnel's protocol and redis, and what happens without them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtunnel.tls.openssl import sessions
from tests.support import needs
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.servers import Server
from tests.support.sessiond import SessionServer
from tests.support.tunnels import Tunnels
from tests.support.visits import Visit, backend, visit

pytestmark = pytest.mark.skipif(not sessions.CAN_OFFER, reason="this OpenSSL is linked statically into the bindings")
PortFactory = Callable[[], int]


@pytest.fixture
def cache() -> Iterator[SessionServer]:
    with SessionServer() as cache:
        yield cache


@pytest.fixture
def lines(pki: Pki, server: Callable[..., Server]) -> Callable[[int, str], str]:
    inside = server(backend("inside")).endpoint

    def text(port: int, more: str) -> str:
        return (
            f"[it]\naccept = 127.0.0.1:{port}\nconnect = {inside}\n"
            f"cert = {pki.server.cert}\nkey = {pki.server.key}\n{more}"
        )

    return text


Lines = Callable[[int, str], str]


def settled(condition: Callable[[], Visit]) -> Visit:
    """A session is kept a moment after its connection: try until it is resumed."""
    found = condition()
    for _ in range(20):
        if found.resumed:
            break
        found = condition()
    return found


def test_two_machines_share_a_sessiond(
    gtunnel: Tunnels, cache: SessionServer, lines: Lines, free_port: PortFactory, tls_version: str, tmp_path: Path
) -> None:
    here, there = free_port(), free_port()
    for port in (here, there):
        gtunnel(lines(port, f"sessiond = {cache.endpoint}\n"))
    only, session = f"-tls{tls_version.replace('.', '_')}", tmp_path / "session"
    assert not visit(here, only, session=session).resumed
    for port in (there, here, there):
        found = settled(lambda port=port: visit(port, only, session=session))  # type: ignore[misc]
        assert (found.reached, found.resumed) == ("inside", True)


def test_stunnel_on_the_same_sessiond(
    gtunnel: Tunnels, stunnel4: Tunnels, cache: SessionServer, lines: Lines, free_port: PortFactory, tmp_path: Path
) -> None:
    ours, theirs = free_port(), free_port()
    gtunnel(lines(ours, f"sessiond = {cache.endpoint}\nsslVersion = TLSv1.2\n"))
    stunnel4(lines(theirs, f"sessiond = {cache.endpoint}\nsslVersion = TLSv1.2\n"))
    for first, other in ((ours, theirs), (theirs, ours)):
        session = tmp_path / f"{first}"
        assert visit(first, session=session).reached == "inside"
        assert settled(lambda first=first, session=session: visit(first, session=session)).resumed  # type: ignore[misc]
        # Of the other program, for other demands as far as it can tell: a full handshake, or none.
        found = visit(other, session=session)
        assert not found.resumed
    assert cache.kept
    assert cache.asked


def test_a_large_session_is_left_out_and_works_all_the_same(
    gtunnel: Tunnels,
    pki: Pki,
    cache: SessionServer,
    lines: Lines,
    free_port: PortFactory,
    tls_version: str,
    tmp_path: Path,
) -> None:
    port = free_port()
    gtunnel(lines(port, f"sessiond = {cache.endpoint}\nverifyChain = yes\nCAfile = {pki.ca}\n"))
    me = ("-cert", str(pki.client.cert), "-key", str(pki.client.key), f"-tls{tls_version.replace('.', '_')}")
    for _ in range(2):
        assert visit(port, *me, session=tmp_path / "session").reached == "inside"
    assert all(len(value) <= 512 for value in cache.kept.values())


@pytest.mark.parametrize("kind", ["sessiond", "redis"])
def test_a_cache_that_is_down_costs_a_full_handshake_and_one_line(
    gtunnel: Tunnels, lines: Lines, free_port: PortFactory, tls_version: str, tmp_path: Path, kind: str
) -> None:
    if kind == "redis":
        pytest.importorskip("redis")
    port, nobody = free_port(), free_port()
    where = f"redis://127.0.0.1:{nobody}" if kind == "redis" else f"127.0.0.1:{nobody}"
    running = gtunnel("workers = 1\n" + lines(port, f"sessiond = {where}\n"))
    for _ in range(4):
        found = visit(port, f"-tls{tls_version.replace('.', '_')}", session=tmp_path / "session")
        assert (found.reached, found.resumed) == ("inside", False)
    told = [line for line in running.output.splitlines() if "sessions are not kept there for now" in line]
    assert len([line for line in told if "LOG4" in line]) == 1


def test_two_machines_share_a_redis_server(
    gtunnel: Tunnels,
    pki: Pki,
    lines: Lines,
    daemon: Callable[..., Daemon],
    free_port: PortFactory,
    tls_version: str,
    tmp_path: Path,
) -> None:
    pytest.importorskip("redis")
    number, here, there, stranger = (free_port() for _ in range(4))
    options = ("--port", str(number), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path))
    redis = daemon([needs.program("redis-server"), *options, "--requirepass", "hunter2"])
    redis.wait_for("Ready to accept connections")
    demands = f"verifyChain = yes\nCAfile = {pki.ca}\n"
    where = f"sessiond = redis://:hunter2@127.0.0.1:{number}\n"
    tunnels = [gtunnel("workers = 2\n" + lines(port, where + demands)) for port in (here, there)]
    tunnels.append(gtunnel(lines(stranger, where + demands + "checkEmail = somebody@example.org\n")))
    me = ("-cert", str(pki.client.cert), "-key", str(pki.client.key), f"-tls{tls_version.replace('.', '_')}")
    session = tmp_path / "session"
    assert visit(here, *me, session=session).reached == "inside"
    for port in (there, here):
        found = settled(lambda port=port: visit(port, *me, session=session))  # type: ignore[misc]
        assert (found.reached, found.resumed) == ("inside", True)
    assert visit(stranger, *me, session=session).reached == ""
    assert not any("hunter2" in tunnel.output for tunnel in tunnels)
