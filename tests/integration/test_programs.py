"""exec, execArgs, pty: real programs behind TLS, with stunnel4 beside us where both can."""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.support import ports, tls
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE, Daemon
from tests.support.programs import SHOW
from tests.support.servers import Server
from tests.support.tls import TlsPeer, TruncatedError, client_context, connect
from tests.support.tunnels import GTUNNEL_ENVIRONMENT, Tunnels

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


def soon(condition: Callable[[], bool]) -> bool:
    deadline = monotonic() + PATIENCE
    while not condition():
        if monotonic() > deadline:
            return False
        sleep(0.05)
    return True


def alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> set[int]:
    """All descendants, zombies too."""
    found = {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return found.union(*(children(child) for child in found))


SLEEPER = "exec = /bin/sh\nexecArgs = sh -c echo$IFS$$;exec$IFS/bin/sleep${IFS}1000\n"


@pytest.fixture
def sleeping(gtunnel: Tunnels, pki: Pki, free_port: FreePort) -> tuple[Daemon, int]:
    """A daemon whose programs say who they are, and sleep; and its port."""
    port = free_port()
    return gtunnel(f"workers = 2\n[s]\naccept = 127.0.0.1:{port}\n{SLEEPER}cert = {pki.server.pem}\n"), port


@pytest.mark.parametrize("how", ["close", "reset", "cut"])
def test_a_program_ends_with_its_connection(sleeping: tuple[Daemon, int], pki: Pki, how: str) -> None:
    daemon, port = sleeping
    with connect(port, client_context(str(pki.ca))) as peer:
        program = int(peer.receive())
        assert alive(program)
        if how != "close":
            getattr(peer, how)()
    assert soon(lambda: not alive(program))
    daemon.wait_for(f"Child process {program} terminated on SIGTERM")
    assert soon(lambda: program not in children(daemon.pid))


def test_stopping_ends_programs(sleeping: tuple[Daemon, int], pki: Pki) -> None:
    daemon, port = sleeping
    peers = [connect(port, client_context(str(pki.ca))) for _ in range(4)]
    programs = [int(peer.receive()) for peer in peers]
    daemon.stop()
    assert not any(alive(program) for program in programs)
    for peer in peers:
        peer.socket.close()


def test_a_reload_leaves_programs_alone_and_they_still_end_with_their_connections(
    sleeping: tuple[Daemon, int], pki: Pki
) -> None:
    daemon, port = sleeping
    with connect(port, client_context(str(pki.ca))) as peer:
        program = int(peer.receive())
        daemon.send(signal.SIGHUP)
        daemon.wait_for("Accepting new connections", times=2)
        assert alive(program)
        with connect(port, client_context(str(pki.ca))) as other:
            assert int(other.receive()) != program
    assert soon(lambda: not alive(program))
    assert soon(lambda: program not in children(daemon.pid))


def test_a_program_that_ended_leaves_no_zombie(gtunnel: Tunnels, pki: Pki, free_port: FreePort) -> None:
    port = free_port()
    conf = f"workers = 1\n[t]\naccept = 127.0.0.1:{port}\nexec = /bin/true\ncert = {pki.server.pem}\n"
    daemon = gtunnel(conf)
    before = children(daemon.pid)
    for _ in range(5):
        visit(port, pki)
    daemon.wait_for("finished with code 0", times=5)
    assert children(daemon.pid) == before


def test_a_program_that_is_not_there_is_told_at_start_and_for_each_connection(
    gtunnel: Tunnels, pki: Pki, free_port: FreePort
) -> None:
    port = free_port()
    daemon = gtunnel(f"[n]\naccept = 127.0.0.1:{port}\nexec = /nonexistent/program\ncert = {pki.server.pem}\n")
    daemon.wait_for('"exec = /nonexistent/program": Service [n]: there is no such program')
    with pytest.raises((TruncatedError, ConnectionResetError)):
        visit(port, pki)
    daemon.wait_for("Cannot run /nonexistent/program: No such file or directory (2)")


@pytest.mark.parametrize(("foreground", "where"), [("yes", "log"), ("quiet", "connection")])
def test_standard_error_is_ours_or_the_connection(
    tunnel: Tunnels, pki: Pki, free_port: FreePort, foreground: str, where: str, tmp_path: Path
) -> None:
    port = free_port()
    daemon = tunnel.start(
        f"[e]\naccept = 127.0.0.1:{port}\nexec = /bin/sh\nexecArgs = sh -c echo${{IFS}}complaint>&2\n"
        f"cert = {pki.server.pem}\n",
        preamble=f"foreground = {foreground}\npid =\nsyslog = no\noutput = {tmp_path}/log\n",
    )
    ports.wait_for_listener(port)
    said = visit(port, pki)
    assert said == (b"complaint\n" if where == "connection" else b"")
    if where == "log":
        daemon.wait_for("complaint")


def test_virtual_services_have_programs_of_their_own(
    tunnel: Tunnels, pki: Pki, free_port: FreePort
) -> None:
    port = free_port()
    echo = "exec = /bin/echo\nexecArgs = echo "
    tunnel(
        f"[one]\naccept = 127.0.0.1:{port}\n{echo}one\ncert = {pki.server.pem}\n"
        f"[two]\nsni = one:localhost\n{echo}two\ncert = {pki.server.pem}\n"
    )
    for name, said in (("localhost", b"two\n"), (None, b"one\n")):
        with connect(port, name=name) as peer:
            assert peer.receive_all() == said


def test_who_is_redirected_does_not_reach_the_program(
    tunnel: Tunnels, pki: Pki, free_port: FreePort, server: Callable[..., Server]
) -> None:
    elsewhere = server(lambda connection: connection.sendall(b"elsewhere"))
    port = free_port()
    tunnel(
        f"[r]\naccept = 127.0.0.1:{port}\nexec = /bin/echo\nexecArgs = echo program\ncert = {pki.server.pem}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\nredirect = {elsewhere.endpoint}\n"
    )
    assert visit(port, pki, identified=True) == b"program\n"
    assert visit(port, pki) == b"elsewhere"


def test_a_program_may_be_the_server_that_speaks_tls(
    gtunnel: Tunnels, pki: Pki, free_port: FreePort, tmp_path: Path
) -> None:
    """client = yes with accept and exec: TLS goes to the program. openssl's server does not read standard input, so it
    is gtunnel in inetd mode."""
    inner = tmp_path / "inner.conf"
    inner.write_text(f"syslog = no\ncert = {pki.server.pem}\nexec = /bin/cat\n")
    script = tmp_path / "inner"
    path = GTUNNEL_ENVIRONMENT["PYTHONPATH"]
    script.write_text(f"#!/bin/sh\nPYTHONPATH={path} exec {sys.executable} -m gtunnel {inner}\n")
    script.chmod(0o755)
    port = free_port()
    gtunnel(
        f"[c]\nclient = yes\naccept = 127.0.0.1:{port}\nexec = {script}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\ncheckHost = localhost\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.sendall(b"through two of them")
        client.shutdown(socket.SHUT_WR)
        assert b"".join(iter(lambda: client.recv(100), b"")) == b"through two of them"


def test_a_program_is_a_client_and_is_started_again(
    tunnel: Tunnels, pki: Pki, server: Callable[..., Server]
) -> None:
    heard: list[bytes] = []

    def listen(peer: TlsPeer) -> None:
        heard.append(peer.receive())
        peer.send(b"answer")
        peer.close_notify()

    backend = server(tls.serve(listen, tls.server_context(pki.server)))
    daemon = tunnel(
        f"[ec]\nclient = yes\nconnect = {backend.endpoint}\nexec = /bin/sh\n"
        f"execArgs = sh -c echo${{IFS}}hello;read${{IFS}}x\nretry = yes\n",
        ready="Starting exec+connect service",
    )
    daemon.wait_for("Retrying an exec+connect section", times=2)
    assert heard[:2] == [b"hello\n"] * 2


def test_a_reload_replaces_a_program_that_is_a_client(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server]
) -> None:
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    daemon = gtunnel(
        f"workers = 2\n[ec]\nclient = yes\nconnect = {backend.endpoint}\nexec = /bin/sleep\nexecArgs = sleep 1000\n"
        "retry = 100\n",
        ready="Local mode child started",
    )
    first = int(daemon.wait_for("Local mode child started").partition("PID=")[2].rstrip(")"))
    daemon.wait_for("TLS connected")
    daemon.send(signal.SIGHUP)
    second = int(daemon.wait_for("Local mode child started", times=2).partition("PID=")[2].rstrip(")"))
    assert soon(lambda: not alive(first))
    assert alive(second)
    assert daemon.count("Local mode child started") == 2
    daemon.stop()
    assert not alive(second)


JAILED = """
#include <stdio.h>
#include <unistd.h>
int main(void) { char d[99]; printf("%d %s\\n", (int)getuid(), getcwd(d, sizeof d)); return 0; }
"""


@pytest.mark.root
def test_in_a_jail_as_somebody_else(gtunnel: Tunnels, pki: Pki, free_port: FreePort) -> None:
    """A jail that has nothing else: no /dev, no /proc, no libraries."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    with tempfile.TemporaryDirectory() as name:
        jail = Path(name)
        jail.chmod(0o755)
        subprocess.run(["cc", "-static", "-x", "c", "-", "-o", jail / "who"], input=JAILED, text=True, check=True)
        port = free_port()
        daemon = gtunnel(
            f"chroot = {jail}\nsetuid = nobody\nsetgid = nogroup\n[j]\naccept = 127.0.0.1:{port}\nexec = /who\n"
            f"cert = {pki.server.pem}\n"
        )
        assert visit(port, pki) == f"{pwd.getpwnam('nobody').pw_uid} /\n".encode()
        assert "no such program" not in daemon.output


def test_a_worker_that_is_killed_takes_its_programs_along(sleeping: tuple[Daemon, int], pki: Pki) -> None:
    _, port = sleeping
    with connect(port, client_context(str(pki.ca))) as peer:
        program = int(peer.receive())
        worker = int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(worker, signal.SIGKILL)
        assert soon(lambda: not alive(program))
