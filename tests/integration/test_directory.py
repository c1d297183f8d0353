"""OpenLDAP through gtunnel: clients without TLS, and a server that demands it."""

from collections.abc import Callable
from pathlib import Path

from tests.support import directory
from tests.support.certificates import Pki
from tests.support.tunnels import Tunnels


def _client(target: int, accept: int, pki: Pki) -> str:
    return (
        f"[ldap]\nclient = yes\naccept = 127.0.0.1:{accept}\nconnect = 127.0.0.1:{target}\nprotocol = ldap\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\ncheckHost = localhost\n"
    )


def test_a_client_without_tls_reaches_a_server_that_demands_it(
    gtunnel: Tunnels, pki: Pki, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    with directory.slapd(tmp_path, pki.server) as target:
        gtunnel(_client(target, port, pki))
        assert "namingContexts:" not in directory.search(target).stdout.replace("requesting: namingContexts", "")
        assert f"namingContexts: {directory.SUFFIX}" in directory.search(port).stdout


def test_a_server_without_tls_is_named_and_the_client_told(
    gtunnel: Tunnels, pki: Pki, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port = free_port()
    with directory.slapd(tmp_path) as target:
        tunnel = gtunnel(_client(target, port, pki))
        assert directory.search(port).returncode != 0
        tunnel.wait_for(
            "ldap: the server refused StartTLS (result code 2, protocol error: it has no TLS): "
            "'unsupported extended operation'"
        )
