"""The support for tests does what it promises: a test is worth as much as what it stands on."""

import contextlib
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import peers, servers, tls
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.machine import Machine, remove_group
from tests.support.servers import Seen, Server
from tests.support.tunnels import ROOT, Tunnels

ServerFactory = Callable[..., Server]
DaemonFactory = Callable[..., Daemon]
PortFactory = Callable[[], int]
ENDPOINTS = [sys.executable, "-m", "tests.support.endpoints"]


def test_ports_are_given_out_once(free_port: PortFactory) -> None:
    assert len({free_port() for _ in range(20)}) == 20


def test_keys_are_private_and_certificates_trusted(pki: Pki) -> None:
    assert stat.S_IMODE(pki.server.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(pki.server.pem.stat().st_mode) == 0o600
    assert pki.client.subject == "alice"
    assert any(pki.authority.ca_directory.glob("*.0"))


@pytest.mark.parametrize("identity", ["expired", "wrong_host", "self_signed", "stranger_server"])
def test_a_bad_certificate_is_refused(pki: Pki, server: ServerFactory, identity: str) -> None:
    serving = server(tls.serve(tls.tls_echo, tls.server_context(getattr(pki, identity))))
    with pytest.raises(ssl.SSLCertVerificationError):
        tls.connect(serving.port, tls.client_context(str(pki.ca)))


@pytest.mark.parametrize("identity", ["server", "server_rsa"])
def test_a_tls_peer_keeps_half_close(pki: Pki, server: ServerFactory, identity: str, tls_version: str) -> None:
    def answer_after_end(peer: tls.TlsPeer) -> None:
        peer.send(b"got %d" % len(peer.receive_all()))
        peer.close_notify()

    context = tls.server_context(getattr(pki, identity), version=tls_version)
    serving = server(tls.serve(answer_after_end, context))
    with tls.connect(serving.port, tls.client_context(str(pki.ca))) as peer:
        assert peer.tls.version() == f"TLSv{tls_version}"
        peer.send(bytes(300_000))
        peer.close_notify()
        assert peer.receive_all() == b"got 300000"
    assert serving.errors == []


def test_a_tls_peer_tells_truncation_from_the_end(pki: Pki, server: ServerFactory) -> None:
    serving = server(tls.serve(lambda peer: peer.send(b"half a"), tls.server_context(pki.server)))
    with tls.connect(serving.port) as peer:
        assert peer.receive_exactly(6) == b"half a"
        with pytest.raises(tls.TruncatedError):
            peer.receive()


def test_a_server_demands_a_client_certificate(pki: Pki, server: ServerFactory) -> None:
    serving = server(tls.serve(tls.tls_echo, tls.server_context(pki.server, ca=str(pki.ca))))
    with tls.connect(serving.port, tls.client_context(identity=pki.client)) as peer:
        peer.send(b"hello")
        assert peer.receive_exactly(5) == b"hello"


def test_servers_note_who_came_and_what_they_brought(server: ServerFactory) -> None:
    seen: list[Seen] = []
    serving = server(servers.reply_after_end(b"thanks", seen), "::1")
    with socket.create_connection(("::1", serving.port)) as client:
        client.sendall(b"data")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(100) == b"thanks"
        assert serving.peers == [client.getsockname()[:2]]
    assert (seen[0].size, seen[0].data) == (4, b"data")


def test_a_server_on_a_unix_socket(server: ServerFactory, tmp_path: Path) -> None:
    server(servers.source(b"from the start"), str(tmp_path / "socket"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "socket"))
        assert client.recv(100) == b"from the start"


def test_closing_a_server_ends_its_connections(server: ServerFactory) -> None:
    serving = server(servers.hang)
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        client.sendall(b"x")
        while not serving.peers:
            threading.Event().wait(0.01)
        serving.close()
        client.settimeout(5)
        # The server's socket had our byte unread, so this may be a reset; it is no time-out in any case.
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert serving.errors == []


def test_a_daemon_is_heard_and_ended(daemon: DaemonFactory) -> None:
    running = daemon(["sh", "-c", "echo one; echo two; echo two; exec sleep 100"])
    assert running.wait_for("two", times=2) == "two"
    assert running.count("two") == 2
    assert running.running
    assert running.stop() == -15


def test_waiting_for_what_is_never_written_ends_with_the_program() -> None:
    with Daemon(["echo", "something else"]) as running, pytest.raises(AssertionError, match="something else"):
        running.wait_for("this")


def test_a_traceback_in_the_output_fails_the_test() -> None:
    running = Daemon([sys.executable, "-c", "raise SystemError"])
    running.wait()
    with pytest.raises(AssertionError, match="SystemError"):
        running.stop()


def test_ending_a_daemon_ends_what_it_left_behind() -> None:
    running = Daemon(["sh", "-c", "sleep 100 & echo $!; exit 0"])
    child = int(running.wait_for(""))
    running.stop()
    deadline = time.monotonic() + 5
    while is_alive(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether it is there, and more than a zombie that this machine's init has not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_both_ends_as_programs_say_what_they_saw(pki: Pki, daemon: DaemonFactory, free_port: PortFactory) -> None:
    for options, more in (["--cert", str(pki.server.pem)], ["--tls"]), ([], []):
        place = ["127.0.0.1", str(free_port())]
        serving = daemon([*ENDPOINTS, "serve", *place, *options], cwd=ROOT)
        serving.wait_for("listening")
        probe = daemon([*ENDPOINTS, "probe", *place, "--size", "500000", *more], cwd=ROOT)
        assert probe.wait() == 0, probe.output
        told, seen = json.loads(probe.output), json.loads(serving.wait_for("digest"))
        assert told["same"] is True
        assert (told["size"], seen["size"], seen["error"]) == (500_000, 500_000, "")
        assert seen["peer"] == told["local"]
        serving.stop()


def test_a_case_runs_through_both_programs(tunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    port = free_port()
    running = tunnel(f"[echo]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {pki.server.pem}\n")
    with tls.connect(port, tls.client_context(str(pki.ca))) as peer:
        peer.send(b"through")
        assert peer.receive_exactly(7) == b"through"
        peer.close_notify()
        assert peer.receive_all() == b""
    running.wait_for("Connection closed: 7 byte(s) sent to TLS, 7 byte(s) sent to socket")


def test_each_program_is_client_of_each(
    tunnel_pair: tuple[Tunnels, Tunnels], pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    client, server = tunnel_pair
    plain, encrypted = free_port(), free_port()
    server(f"[s]\naccept = 127.0.0.1:{encrypted}\nconnect = {echo.endpoint}\ncert = {pki.server.pem}\n")
    verify = f"CAfile = {pki.ca}\nverifyChain = yes\n"
    client(f"client = yes\n[c]\naccept = 127.0.0.1:{plain}\nconnect = 127.0.0.1:{encrypted}\n{verify}")
    with socket.create_connection(("127.0.0.1", plain)) as program:
        program.sendall(b"through")
        program.shutdown(socket.SHUT_WR)
        assert program.recv(100) == b"through"
        assert program.recv(100) == b""


def test_both_programs_refuse_a_wrong_option(tunnel: Tunnels) -> None:
    assert "Specified option name is not valid here" in tunnel.refuse("[a]\nnosuch = 1\n")


def test_a_program_is_run_to_its_end(stunnel4: Tunnels) -> None:
    assert "stunnel 5" in stunnel4.run("-version").stderr


def test_nginx_serves_http_and_streams(pki: Pki, tmp_path: Path, server: ServerFactory, free_port: PortFactory) -> None:
    http, stream = free_port(), free_port()
    backend = server(servers.source(b"backend"))
    certificate = f"ssl_certificate {pki.server.cert}; ssl_certificate_key {pki.server.key};"
    with peers.nginx(
        tmp_path / "nginx",
        http=f'server {{ listen 127.0.0.1:{http} ssl; {certificate} return 200 "from $remote_addr"; }}',
        stream=f"server {{ listen 127.0.0.1:{stream} ssl; {certificate} proxy_pass {backend.endpoint}; }}",
    ):
        answer = peers.curl("--cacert", str(pki.ca), f"https://localhost:{http}/")
        assert (answer.stdout, answer.stderr) == ("from 127.0.0.1", "")
        with tls.connect(stream) as peer:
            assert peer.receive_exactly(7) == b"backend"


def test_haproxy_forwards(tmp_path: Path, server: ServerFactory, free_port: PortFactory) -> None:
    port, backend = free_port(), server(servers.source(b"backend"))
    with peers.haproxy(
        tmp_path / "haproxy", f"listen a\n  bind 127.0.0.1:{port}\n  server b {backend.endpoint}\n", [port]
    ), socket.create_connection(("127.0.0.1", port)) as client:
        assert client.recv(100) == b"backend"


def test_openssl_talks_to_itself(pki: Pki, free_port: PortFactory) -> None:
    port = free_port()
    with peers.s_server(pki.server, port, "-rev", "-naccept", "1") as serving:
        done = peers.s_client(port, "-CAfile", str(pki.ca), "-verify_return_error", send=b"olleh\nCLOSE\n")
        assert b"hello" in done.stdout
        assert serving.wait() == 0


@pytest.mark.root
def test_a_program_runs_on_a_host_of_the_lab(in_lab: DaemonFactory) -> None:
    serving = in_lab("server", [*ENDPOINTS, "serve", "2001:db8:2::2", "7"], cwd=ROOT)
    serving.wait_for("listening")
    probe = in_lab("client", [*ENDPOINTS, "probe", "2001:db8:2::2", "7"], cwd=ROOT)
    assert probe.wait() == 0, probe.output
    assert json.loads(serving.wait_for("digest"))["peer"][0] == "2001:db8:1::2"
    assert os.getpid() != serving.pid


BOOT = """
import sys, time
from pathlib import Path
from tests.support.machine import Machine
machine = Machine(Path(sys.argv[1]))
print(machine.path("/").parts[2], machine.group, flush=True)
time.sleep(60)
"""


@pytest.mark.root
def test_a_booted_machine_is_apart_and_leaves_nothing(tmp_path: Path) -> None:
    with Machine(tmp_path) as machine:
        assert machine.run("ps", "-o", "comm=", "1").stdout.strip() == "systemd"
        machine.write("/etc/gtunnel-was-here", "")
        machine.write("/tmp/gtunnel-was-here", "")
        machine.run("rm", "/etc/debian_version")
        assert machine.run("sh", "-c", "echo 1 >/proc/sys/kernel/sysrq", check=False).returncode != 0
        assert machine.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward").returncode == 0
        assert machine.run("ls", "/sys/class/net").stdout == "lo\n"
    assert not Path("/etc/gtunnel-was-here").exists()
    assert not Path("/tmp/gtunnel-was-here").exists()
    assert Path("/etc/debian_version").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["machine", "console"]
    assert list((tmp_path / "machine").iterdir()) == []


@pytest.mark.root
def test_a_booted_machine_ends_with_who_booted_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", BOOT, tmp_path], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
    )
    with process:
        assert process.stdout is not None
        first, group = process.stdout.readline().split()
        process.kill()
    deadline = time.monotonic() + 15
    while Path(f"/proc/{first}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{first}").exists()
    remove_group(tmp_path / "machine", group)
