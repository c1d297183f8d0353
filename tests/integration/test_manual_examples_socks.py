"""The manual's SOCKS VPN example, word for word, and the way into it for programs that know no SOCKS."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from netsetup.lab import Lab
from tests.support import needs
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE, Daemon
from tests.support.tunnels import Tunnels

pytestmark = pytest.mark.root
InLab = Callable[..., Daemon]

# Manual, EXAMPLES. vpn_server is the lab's gateway.
CLIENT = """
[socks_client]
client = yes
accept = 127.0.0.1:1080
connect = vpn_server:9080
verify = 4
CAfile = stunnel.pem
"""
SERVER = """
[socks_server]
protocol = socks
accept = 9080
cert = stunnel.pem
key = stunnel.key
"""


@pytest.fixture
def target(in_lab: InLab, tmp_path: Path) -> str:
    """A web server on the lab's server; its URL."""
    root = tmp_path / "www"
    root.mkdir()
    (root / "index.html").write_text("hello\n")
    argv = [sys.executable, "-u", "-m", "http.server", "80", "--bind", "198.51.100.2", "--directory", str(root)]
    in_lab("server", argv).wait_for("Serving HTTP")
    return "http://198.51.100.2/"


@pytest.fixture
def files(pki: Pki, tmp_path: Path) -> None:
    """The example's certificate and key, in the directory that the tunnels run in."""
    shutil.copy(pki.server.cert, tmp_path / "stunnel.pem")
    shutil.copy(pki.server.key, tmp_path / "stunnel.key")


def curl(lab: Lab, *arguments: str) -> "subprocess.CompletedProcess[str]":
    argv = [needs.program("curl"), "-q", "-sS", "--noproxy", "", "--max-time", str(PATIENCE), *arguments]
    return lab.run("client", argv, capture_output=True, text=True)


@pytest.mark.usefixtures("files")
def test_the_example(lab: Lab, tunnel_pair: tuple[Tunnels, Tunnels], target: str) -> None:
    client, server = tunnel_pair
    server(SERVER, launch=partial(lab.popen, "gateway"))
    client(CLIENT.replace("vpn_server", "192.0.2.1"), launch=partial(lab.popen, "client"))
    said = curl(lab, "--socks4a", "localhost", target)
    assert said.stdout == "hello\n", said.stderr


@pytest.mark.usefixtures("files")
def test_connections_that_were_redirected_go_where_they_were_going(
    lab: Lab, tunnel: Tunnels, gtunnel: Tunnels, target: str
) -> None:
    """stunnel's client mode: the firewall gives it connections, and it asks the SOCKS server for their destinations."""
    gtunnel(SERVER, launch=partial(lab.popen, "gateway"))
    text = CLIENT.replace("vpn_server", "192.0.2.1").replace("127.0.0.1:1080", "1080") + "protocol = socks\n"
    daemon = tunnel(text, launch=partial(lab.popen, "client"))
    rule = "-t nat -A OUTPUT -p tcp --dport 80 -j REDIRECT --to-ports 1080"
    lab.run("client", ["iptables-legacy", *rule.split()], check=True)
    said = curl(lab, target)
    assert said.stdout == "hello\n", said.stderr + daemon.output
