"""protocol = connect with real proxies: squid and tinyproxy between a gtunnel client and a TLS server."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.support import peers, proxies, tls
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

Ports = Callable[[], int]
Start = Callable[..., AbstractContextManager[object]]
GREETING = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


@pytest.fixture
def target(server: Callable[..., Server], pki: Pki) -> Server:
    def web(peer: tls.TlsPeer) -> None:
        peer.receive()
        peer.send(GREETING)
        peer.close_notify()

    return server(tls.serve(web, tls.server_context(pki.server)))


def client(port: int, proxy: int, target: Server, pki: Pki, *more: str) -> str:
    lines = [
        *("[c]", "client = yes", f"accept = 127.0.0.1:{port}", f"connect = 127.0.0.1:{proxy}", "protocol = connect"),
        *(f"protocolHost = localhost:{target.port}", f"CAfile = {pki.ca}", "verifyChain = yes"),
        *("checkHost = localhost", *more),
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("proxy", [proxies.squid, proxies.tinyproxy])
@pytest.mark.parametrize("password", [None, "hunter2", "wrong"], ids=["nobody", "right", "wrong"])
def test_through_a_proxy(
    gtunnel: Tunnels, target: Server, pki: Pki, free_port: Ports, proxy: Start, password: str | None
) -> None:
    ports = (free_port(), free_port())
    more = () if password is None else ("protocolUsername = me", f"protocolPassword = {password}")
    with proxy(ports[1], password=None if password is None else "hunter2"):
        daemon = gtunnel(client(ports[0], ports[1], target, pki, *more))
        said = peers.curl(f"http://127.0.0.1:{ports[0]}/")
    if password == "wrong":  # noqa: S105
        daemon.wait_for("connect: the proxy said 'HTTP/1")
    else:
        assert said.stdout == "hello\n"
        # The TLS server is the one behind the proxy.
        daemon.wait_for("SNI: sending servername: localhost")
    assert "hunter2" not in daemon.output
    assert "bWU6" not in daemon.output


def test_a_proxy_that_wants_to_know_who_says_so(
    gtunnel: Tunnels, target: Server, pki: Pki, free_port: Ports
) -> None:
    ports = (free_port(), free_port())
    with proxies.squid(ports[1], password="hunter2"):  # noqa: S106
        daemon = gtunnel(client(ports[0], ports[1], target, pki))
        assert peers.curl(f"http://127.0.0.1:{ports[0]}/").returncode
    daemon.wait_for("407 Proxy Authentication Required' (set protocolUsername and protocolPassword; it offers Basic)")


def test_ntlm(tunnel: Tunnels, target: Server, pki: Pki, free_port: Ports) -> None:
    ports = (free_port(), free_port())
    who = ("protocolAuthentication = ntlm", "protocolUsername = me", "protocolPassword = hunter2", "protocolDomain = d")
    with proxies.squid(ports[1], ntlm=True) as access:
        tunnel(client(ports[0], ports[1], target, pki, *who))
        assert peers.curl(f"http://127.0.0.1:{ports[0]}/").stdout == "hello\n"
        # squid writes a line when the tunnel has ended.
        deadline = time.monotonic() + PATIENCE
        while "TCP_TUNNEL/200" not in access.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # A name as squid's helper reads it out of the last message: with one letter too many, or too few.
        assert "m" in access.read_text().splitlines()[-1].split()[7].lower()


def test_a_server_behind_the_proxy_that_is_not_there(
    gtunnel: Tunnels, pki: Pki, free_port: Ports, target: Server
) -> None:
    ports = (free_port(), free_port())
    target.close()
    with proxies.squid(ports[1]):
        daemon = gtunnel(client(ports[0], ports[1], target, pki))
        assert peers.curl(f"http://127.0.0.1:{ports[0]}/").returncode
    daemon.wait_for("connect: the proxy said 'HTTP/1.1 503 Service Unavailable'")
