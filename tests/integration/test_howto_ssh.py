"""docs/howto-ssh-443.md, with its own configurations and a real sshd."""

from collections.abc import Callable
from pathlib import Path

from tests.support import proxies
from tests.support.certificates import Pki
from tests.support.pages import block
from tests.support.ssh import sshd
from tests.support.tunnels import Tunnels

PAGE = "howto-ssh-443.md"
Ports = Callable[[], int]


def server(port: int, ssh: int, pki: Pki) -> str:
    places = {"accept = 443": f"accept = 127.0.0.1:{port}", "127.0.0.1:22": f"127.0.0.1:{ssh}"}
    return block(PAGE, "server: /etc/gtunnel/gtunnel.conf", {**places, "/etc/gtunnel/server.pem": pki.server.pem})


def test_ssh_through_443(gtunnel: Tunnels, pki: Pki, free_port: Ports, tmp_path: Path) -> None:
    outer, inner = free_port(), free_port()
    with sshd(tmp_path / "ssh", free_port()) as ssh:
        gtunnel(server(outer, ssh.port, pki))
        places = {
            "127.0.0.1:2222": f"127.0.0.1:{inner}",
            "gate.example.org:443": f"127.0.0.1:{outer}",
            "/etc/ssl/certs/ca-certificates.crt": pki.ca,
            "gate.example.org": "localhost",
        }
        gtunnel(block(PAGE, "client: gtunnel.conf", places))
        said = ssh.run("-F", "none", "-p", str(inner), "-o", "HostKeyAlias=gate.example.org", "127.0.0.1", "echo hello")
        assert said.stdout == "hello\n", said.stderr
        config = tmp_path / "config"
        config.write_text(block(PAGE, "~/.ssh/config", {"2222": inner}))
        assert ssh.run("-F", str(config), "gate", "echo hello").stdout == "hello\n"


def test_ssh_through_a_proxy(gtunnel: Tunnels, pki: Pki, free_port: Ports, tmp_path: Path) -> None:
    outer, inner, proxy = free_port(), free_port(), free_port()
    places = {
        "127.0.0.1:2222": f"127.0.0.1:{inner}",
        "proxy.example.net:3128": f"127.0.0.1:{proxy}",
        "gate.example.org:443": f"localhost:{outer}",
        "/etc/ssl/certs/ca-certificates.crt": pki.ca,
        "gate.example.org": "localhost",
    }
    with sshd(tmp_path / "ssh", free_port()) as ssh, proxies.squid(proxy, password="secret"):  # noqa: S106
        gtunnel(server(outer, ssh.port, pki))
        daemon = gtunnel(block(PAGE, "client, through a proxy", places))
        said = ssh.run("-F", "none", "-p", str(inner), "-o", "HostKeyAlias=gate.example.org", "127.0.0.1", "echo hello")
        assert said.stdout == "hello\n", said.stderr
        daemon.wait_for("CONNECT localhost:")
