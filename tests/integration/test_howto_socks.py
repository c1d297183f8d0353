"""docs/howto-socks-vpn.md, with its own configurations, and what it says to try."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import needs, peers
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.pages import block
from tests.support.servers import Server
from tests.support.ssh import sshd
from tests.support.tunnels import Tunnels

PAGE = "howto-socks-vpn.md"
Ports = Callable[[], int]
# The page's network, and its names, are this machine here.
NETWORK = {"10.1.0.0/16": "127.0.0.1", "*.intranet.example.org:80,443": "localhost"}


def client_places(port: int, server: int, pki: Pki) -> dict[str, object]:
    return {
        "vpn.example.org:9080": f"127.0.0.1:{server}",
        "/etc/gtunnel/server-ca.pem": pki.ca,
        "/etc/gtunnel/me.pem": pki.client.pem,
        "vpn.example.org": "localhost",
        "127.0.0.1:8080": f"127.0.0.1:{port}",
    }


@pytest.fixture
def vpn(gtunnel: Tunnels, pki: Pki, free_port: Ports) -> tuple[int, int]:
    """The ports of the page's server and client."""
    server, client = free_port(), free_port()
    places = {
        "accept = 9080": f"accept = 127.0.0.1:{server}",
        "/etc/gtunnel/server.pem": pki.server.pem,
        "/etc/gtunnel/clients-ca.pem": pki.ca,
        **NETWORK,
    }
    gtunnel(block(PAGE, "server: /etc/gtunnel/gtunnel.conf", places))
    changed = client_places(client, server, pki)
    del changed["127.0.0.1:8080"]
    gtunnel(block(PAGE, "client: gtunnel.conf", changed | {"127.0.0.1:1080": f"127.0.0.1:{client}"}))
    return server, client


def web(server: Callable[..., Server]) -> Server:
    def handle(connection: object) -> None:
        connection.recv(4096)  # type: ignore[attr-defined]
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello\n")  # type: ignore[attr-defined]

    return server(handle)


@pytest.mark.parametrize("option", ["--socks5-hostname", "--socks4a"])
def test_names_are_resolved_at_the_far_end(vpn: tuple[int, int], server: Callable[..., Server], option: str) -> None:
    target = web(server)
    said = peers.curl(option, f"127.0.0.1:{vpn[1]}", f"http://localhost:{target.port}/", through_proxy=True)
    assert said.stdout == "hello\n", said.stderr


def test_other_networks_are_refused(vpn: tuple[int, int]) -> None:
    said = peers.curl("-v", "--socks5", f"127.0.0.1:{vpn[1]}", "http://192.0.2.1/", through_proxy=True)
    assert "(2)" in said.stderr


def test_who_has_no_certificate_does_not_come_in(
    vpn: tuple[int, int], gtunnel: Tunnels, pki: Pki, free_port: Ports
) -> None:
    port = free_port()
    changed = client_places(port, vpn[0], pki)
    del changed["127.0.0.1:8080"]
    text = block(PAGE, "client: gtunnel.conf", changed | {"127.0.0.1:1080": f"127.0.0.1:{port}"})
    gtunnel("\n".join(line for line in text.splitlines() if not line.startswith("cert")))
    assert peers.curl("--socks5", f"127.0.0.1:{port}", "http://127.0.0.1/", through_proxy=True).returncode


def test_ssh_finds_its_way(vpn: tuple[int, int], free_port: Ports, tmp_path: Path) -> None:
    command = f"{needs.program('ncat')} --proxy 127.0.0.1:{vpn[1]} --proxy-type socks5 %h %p"
    with sshd(tmp_path / "ssh", free_port()) as ssh:
        options = ("-F", "none", "-o", "HostKeyAlias=gate.example.org", "-o", f"ProxyCommand={command}")
        said = ssh.run(*options, "-p", str(ssh.port), "127.0.0.1", "echo hello")
    assert said.stdout == "hello\n", said.stderr


def test_a_service_for_one_target(
    vpn: tuple[int, int], gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports
) -> None:
    port, target = free_port(), web(server)
    places = {"www.intranet.example.org:80": f"localhost:{target.port}", **client_places(port, vpn[0], pki)}
    gtunnel(block(PAGE, "client, for one target", places))
    assert peers.curl(f"http://127.0.0.1:{port}/").stdout == "hello\n"


def test_passwords_as_openssl_hashes_them(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports, tmp_path: Path
) -> None:
    port, inner, target = free_port(), free_port(), web(server)
    argv = [needs.program("openssl"), "passwd", "-6", "-stdin"]
    made = subprocess.run(argv, input="secret\n", capture_output=True, text=True, check=True, timeout=PATIENCE)
    users = tmp_path / "users"
    users.write_text(f"me:{made.stdout.strip()}\n")
    users.chmod(0o600)
    places = {
        "accept = 9080": f"accept = 127.0.0.1:{port}",
        "/etc/gtunnel/server.pem": pki.server.pem,
        "/etc/gtunnel/socks-users": users,
        "allow *": "allow 127.0.0.1",
    }
    gtunnel(
        block(PAGE, "server, with passwords", places)
        + f"[in]\nclient = yes\naccept = 127.0.0.1:{inner}\nconnect = 127.0.0.1:{port}\n"
    )
    for password, status in (("secret", 0), ("wrong", 97)):
        proxy = f"me:{password}@127.0.0.1:{inner}"
        url = f"http://127.0.0.1:{target.port}/"
        assert peers.curl("--socks5-hostname", proxy, url, through_proxy=True).returncode == status
