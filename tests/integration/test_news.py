"""NNTP through gtunnel: a client without TLS, and Cyrus nntpd with STARTTLS."""

import socket
from collections.abc import Callable

import pytest

from tests.support import news
from tests.support.certificates import Pki
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.root


@pytest.mark.parametrize("secure", [True, False])
def test_a_client_without_tls_reaches_a_server_that_has_it(
    gtunnel: Tunnels, pki: Pki, free_port: Callable[[], int], *, secure: bool
) -> None:
    port = free_port()
    with news.news_server(pki.server if secure else None) as target:
        tunnel = gtunnel(
            f"[nntp]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{target}\nprotocol = nntp\n"
            f"CAfile = {pki.ca}\nverifyChain = yes\ncheckHost = localhost\n"
        )
        with socket.create_connection(("127.0.0.1", port), timeout=10) as client, client.makefile("rb") as lines:
            greeting = lines.readline()
            if not secure:
                assert greeting == b"400 Service not available, try again later\r\n"
                tunnel.wait_for("nntp: it refused STARTTLS: the server said '480 Authentication required'")
                return
            assert greeting.startswith(b"200 news.example.org Cyrus NNTP")
            client.sendall(b"CAPABILITIES\r\n")
            capabilities = list(iter(lines.readline, b".\r\n"))
            assert b"AUTHINFO USER SASL\r\n" in capabilities
            assert b"STARTTLS\r\n" not in capabilities
            client.sendall(b"QUIT\r\n")
            assert lines.readline().startswith(b"205 ")
