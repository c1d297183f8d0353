"""exec, execArgs, pty: real programs behind TLS, with stunnel4 beside us where both can."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Pki
from tests.support.programs import SHOW
from tests.support.tls import client_context, connect
from tests.support.tunnels import Tunnels

FreePort = Callable[[], int]


@pytest.fixture
def shower(tmp_path: Path) -> Path:
    """A program that shows what it sees of itself."""
    script = tmp_path / "show"
    script.write_text(f"#!{sys.executable}\n{SHOW}\n")
    script.chmod(0o755)
    return script


def visit(port: int, pki: Pki, *, identified: bool = False) -> bytes:
    identity = pki.client if identified else None
    with connect(port, client_context(str(pki.ca), identity)) as peer:
        return peer.receive_all()


def test_a_program_serves_a_connection(tunnel: Tunnels, pki: Pki, free_port: FreePort) -> None:
    port = free_port()
    tunnel(f"[cat]\naccept = 127.0.0.1:{port}\nexec = /bin/cat\ncert = {pki.server.pem}\n")
    with connect(port, client_context(str(pki.ca))) as peer:
        peer.send(b"through a program" * 10000)
        peer.close_notify()
        assert peer.receive_all() == b"through a program" * 10000


def test_what_a_program_sees(tunnel: Tunnels, pki: Pki, free_port: FreePort, shower: Path) -> None:
    port = free_port()
    tunnel(
        f"[show]\naccept = 127.0.0.1:{port}\nexec = {shower}\nexecArgs = name -a  b\ncert = {pki.server.pem}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\n"
    )
    seen = json.loads(visit(port, pki, identified=True))
    # A script's interpreter replaces the name.
    assert seen["arguments"][-2:] == ["-a", "b"]
    environment = seen["environment"]
    assert environment["REMOTE_HOST"] == "127.0.0.1"
    assert int(environment["REMOTE_PORT"]) > 0
    assert environment["SSL_CLIENT_DN"] == "CN=alice"
    assert environment["SSL_CLIENT_I_DN"] == "CN=good"
    if tunnel.kind == "gtunnel":
        assert seen["descriptors"] == [0, 1, 2]
        assert seen["ignored"] == seen["blocked"] == []


def test_without_a_certificate_there_are_no_names(
    tunnel: Tunnels, pki: Pki, free_port: FreePort, shower: Path
) -> None:
    port = free_port()
    tunnel(f"[show]\naccept = 127.0.0.1:{port}\nexec = {shower}\ncert = {pki.server.pem}\n")
    environment = json.loads(visit(port, pki))["environment"]
    assert "SSL_CLIENT_DN" not in environment
    assert "SSL_CLIENT_I_DN" not in environment


PEER = "import os, socket; print(socket.socket(fileno=os.dup(0)).getpeername()[:2], flush=True)"


def test_in_local_mode_transparent_source_shows_the_client(
    tunnel: Tunnels, pki: Pki, free_port: FreePort, tmp_path: Path
) -> None:
    script = tmp_path / "peer"
    script.write_text(f"#!{sys.executable}\n{PEER}\n")
    script.chmod(0o755)
    port = free_port()
    tunnel(f"[p]\naccept = 127.0.0.1:{port}\nexec = {script}\ntransparent = source\ncert = {pki.server.pem}\n")
    with connect(port, client_context(str(pki.ca))) as peer:
        own = peer.socket.getsockname()
        assert peer.receive_all().decode().strip() == str(own)
