"""The demonstration's web server says what it sees of its client."""

from collections.abc import Callable, Iterator

import pytest

from gtunnel.demo.program import python
from gtunnel.demo.web import READY, Sight, WebServer, text
from tests.support import peers, tls
from tests.support.certificates import Pki
from tests.support.daemon import Daemon


@pytest.fixture(params=["127.0.0.1", "::1"])
def plain(request: pytest.FixtureRequest) -> Iterator[WebServer]:
    """A running server without TLS."""
    server = WebServer(request.param, 0)
    server.start()
    yield server
    server.stop()


def test_the_page_has_both_addresses(plain: WebServer) -> None:
    address = text(plain.server_address)
    got = peers.curl("--write-out", "%{local_port}", f"http://{address}/")
    page, _, port = got.stdout.rpartition("\n")
    assert Sight.from_page(page) == Sight(
        client=f"{address.rpartition(':')[0]}:{port}", server=address, security="none"
    )


def test_with_tls_the_page_has_version_and_cipher(pki: Pki) -> None:
    server = WebServer("127.0.0.1", 0, tls.server_context(pki.server))
    server.start()
    try:
        got = peers.curl("--cacert", str(pki.ca), f"https://localhost:{server.port}/")
        sight = Sight.from_page(got.stdout)
        assert sight is not None
        assert sight.security.startswith("TLSv1.3, TLS_")
        assert "reset" in peers.curl(f"http://localhost:{server.port}/").stderr
    finally:
        server.stop()


def test_another_page_is_not_taken_for_it() -> None:
    assert Sight.from_page("<html>") is None
    assert Sight.from_page("") is None


def test_a_page_can_be_read_back() -> None:
    sight = Sight(client="[::1]:1", server="[::1]:2", security="TLSv1.3, X")
    assert Sight.from_page(sight.page()) == sight


def test_as_a_program_it_says_when_it_is_ready(
    pki: Pki, daemon: Callable[..., Daemon], free_port: Callable[[], int]
) -> None:
    port = free_port()
    argv = [*python("gtunnel.demo.web", "main"), str(port), "127.0.0.1", "::1"]
    running = daemon([*argv, "--cert", str(pki.server.cert), "--key", str(pki.server.key)])
    running.wait_for(READY)
    for host in ("127.0.0.1", "[::1]"):
        got = peers.curl("--cacert", str(pki.ca), f"https://{host}:{port}/")
        assert f"server {host}:{port}\n" in got.stdout
