"""SOCKS beyond CONNECT: connections and datagrams from outside, addresses of names; and dante's server as our peer."""

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import needs, tls
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE, Daemon
from tests.support.ports import wait_for_port
from tests.support.servers import Server, echo
from tests.support.tunnels import Tunnels

Ports = Callable[[], int]
METHOD = b"\x05\x01\x00"
HERE = "socksTargets = allow 127.0.0.0/8\nsocksBind = 127.0.0.1\nsocksUdp = 127.0.0.1\n"


def service(port: int, pki: Pki, more: str = HERE) -> str:
    return f"[socks]\nprotocol = socks\naccept = 127.0.0.1:{port}\ncert = {pki.server.pem}\n{more}"


def client(port: int, server: int, more: str = "") -> str:
    return f"[in]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{server}\n{more}"


@pytest.fixture
def proxy(gtunnel: Tunnels, pki: Pki, free_port: Ports) -> Callable[[], tls.TlsPeer]:
    """`proxy()`: a connection to a SOCKS server, the method agreed on."""
    port = free_port()
    gtunnel(service(port, pki))

    def connect() -> tls.TlsPeer:
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        peer = tls.TlsPeer(sock, tls.client_context(), server_hostname="localhost")
        peer.send(METHOD)
        assert peer.receive_exactly(2) == b"\x05\x00"
        return peer

    return connect


def answer(peer: tls.TlsPeer) -> tuple[int, str, int]:
    """Code, address and port of an answer."""
    version, code, _, kind, host, port = struct.unpack("!BBBB4sH", peer.receive_exactly(10))
    assert (version, kind) == (5, 1)
    return code, str(ipaddress.ip_address(host)), port


def test_a_server_connects_back(proxy: Callable[[], tls.TlsPeer]) -> None:
    with proxy() as peer:
        peer.send(b"\x05\x02\x00\x01" + bytes((127, 0, 0, 2)) + b"\x00\x00")
        code, host, port = answer(peer)
        assert (code, host) == (0, "127.0.0.1")
        with socket.create_connection((host, port), timeout=10, source_address=("127.0.0.3", 0)) as stranger:
            assert stranger.recv(1) == b""
        with socket.create_connection((host, port), timeout=10, source_address=("127.0.0.2", 0)) as expected:
            assert answer(peer) == (0, "127.0.0.2", expected.getsockname()[1])
            expected.sendall(b"hello")
            assert peer.receive_exactly(5) == b"hello"
            peer.send(b"bye")
            assert expected.recv(3) == b"bye"
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, port), timeout=10)


def test_nobody_is_waited_for_when_the_client_has_left(proxy: Callable[[], tls.TlsPeer]) -> None:
    with proxy() as peer:
        peer.send(b"\x05\x02\x00\x01" + bytes((127, 0, 0, 2)) + b"\x00\x00")
        _, host, port = answer(peer)
        peer.close_notify()
        with contextlib.suppress(OSError, tls.TruncatedError):
            peer.receive_all()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection((host, port), timeout=10, source_address=("127.0.0.2", 0))


def test_what_a_client_says_meanwhile_is_for_the_peer(proxy: Callable[[], tls.TlsPeer]) -> None:
    with proxy() as peer:
        peer.send(b"\x05\x02\x00\x01" + bytes((127, 0, 0, 2)) + b"\x00\x00" + b"early ")
        _, host, port = answer(peer)
        peer.send(b"late")
        with socket.create_connection((host, port), timeout=10, source_address=("127.0.0.2", 0)) as expected:
            assert answer(peer)[0] == 0
            assert expected.makefile("rb").read(10) == b"early late"


def test_nobody_waits_for_who_must_not_come(proxy: Callable[[], tls.TlsPeer]) -> None:
    with proxy() as peer:
        peer.send(b"\x05\x02\x00\x01" + bytes((192, 0, 2, 1)) + b"\x00\x00")
        assert answer(peer)[0] == 2


def test_datagrams(proxy: Callable[[], tls.TlsPeer]) -> None:
    with (
        proxy() as peer,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as target,
    ):
        for sock in (ours, target):
            sock.settimeout(PATIENCE)
            sock.bind(("127.0.0.1", 0))
        peer.send(b"\x05\x03\x00\x01" + bytes(6))
        code, host, port = answer(peer)
        assert code == 0
        head = b"\0\0\0\x01\x7f\x00\x00\x01" + struct.pack("!H", target.getsockname()[1])
        ours.sendto(head + b"ping", (host, port))
        data, source = target.recvfrom(100)
        assert data == b"ping"
        target.sendto(b"pong", source)
        assert ours.recvfrom(100)[0] == head + b"pong"
        peer.close_notify()
        assert peer.receive_all() == b""


def test_a_names_address(proxy: Callable[[], tls.TlsPeer]) -> None:
    with proxy() as peer:
        peer.send(b"\x05\xf0\x00\x03\x09localhost\x00\x00")
        assert answer(peer) == (0, "127.0.0.1", 0)
        assert peer.receive_all() == b""


def test_a_service_asks_dante(
    gtunnel: Tunnels, pki: Pki, free_port: Ports, server: Callable[..., Server], tmp_path: Path
) -> None:
    """dante's server speaks no TLS: another gtunnel takes it off before."""
    outer, inner, port, target = free_port(), free_port(), free_port(), server(echo)
    conf = tmp_path / "danted.conf"
    conf.write_text(
        f"logoutput: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: lo\nsocksmethod: none\nclientmethod: none\n"
        "user.privileged: root\nuser.unprivileged: root\n"
        "client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\nsocks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }\n"
    )
    with Daemon([needs.program("danted"), "-f", conf, "-p", tmp_path / "pid"]) as dante:
        wait_for_port(port)
        gtunnel(
            f"[s]\naccept = 127.0.0.1:{outer}\nconnect = 127.0.0.1:{port}\ncert = {pki.server.pem}\n"
            + client(inner, outer, f"protocol = socks\nprotocolHost = localhost:{target.port}\n")
        )
        with socket.create_connection(("127.0.0.1", inner), timeout=10) as connection:
            connection.sendall(b"hello")
            assert connection.recv(5) == b"hello", dante.output


def test_check_says_what_is_open(gtunnel: Tunnels, pki: Pki) -> None:
    path = gtunnel.configuration(service(1080, pki, "socksUdp = 127.0.0.1\n"))
    said = gtunnel.run("check", str(path))
    for text in (
        "any address that this machine reaches",
        "clients prove nothing",
        "datagrams of clients are not inside",
    ):
        assert text in said.stdout + said.stderr
