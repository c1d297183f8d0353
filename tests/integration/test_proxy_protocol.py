"""The PROXY protocol with HAProxy, nginx and stunnel4: as those who send it, and as those who get it."""

import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from gtunnel.wire.crc32c import crc32c
from netsetup.lab import Lab
from tests.support import needs, peers, tls
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.servers import Seen, Server, sink
from tests.support.tunnels import Tunnels

Ports = Callable[[], int]
# How a client may learn that it is not served.
REFUSED = (OSError, tls.TruncatedError)
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def sending(port: int, target: str, pki: Pki, *more: str) -> str:
    lines = ("[s]", f"accept = {port}", f"connect = {target}", f"cert = {pki.server.pem}", "protocol = proxy", *more)
    return "\n".join(lines) + "\n"


def accepting(port: int, target: str, pki: Pki, *more: str) -> str:
    lines = ("[s]", f"accept = {port}", f"connect = {target}", f"cert = {pki.server.pem}", *more)
    return "\n".join(lines) + "\n"


def say(
    port: int, data: bytes = b"", *, first: bytes = b"", pki: Pki | None = None, host: str = "127.0.0.1"
) -> tuple[int, bytes]:
    """Say something under TLS, after something in plaintext. Our port, and the answer."""
    context = tls.client_context()
    if pki is not None:
        context.load_cert_chain(pki.client.cert, pki.client.key)
    with socket.create_connection((host, port), timeout=10) as connection:
        ours = connection.getsockname()[1]
        connection.sendall(first)
        with tls.TlsPeer(connection, context, server_hostname="localhost") as peer:
            peer.send(data)
            peer.close_notify()
            return ours, peer.receive_all()


@pytest.mark.parametrize("family", ["TCP4", "TCP6"])
def test_the_first_version_is_stunnels(
    tunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports, family: str
) -> None:
    seen: list[Seen] = []
    port, target = free_port(), server(sink(seen))
    host = "127.0.0.1" if family == "TCP4" else "::1"
    tunnel(sending(port, target.endpoint, pki).replace("accept = ", f"accept = {host}:"))
    ours, _ = say(port, b"hello", host=host)
    assert seen[0].data == f"PROXY {family} {host} {host} {ours} {port}\r\nhello".encode()


@pytest.mark.parametrize("version", [1, 2])
def test_nginx_learns_who_the_client_is(
    gtunnel: Tunnels, pki: Pki, free_port: Ports, tmp_path: Path, version: int
) -> None:
    port, web = free_port(), free_port()
    conf = (
        f"server {{ listen 127.0.0.1:{web} proxy_protocol; location / {{ "
        'return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port"; } }'
    )
    with peers.nginx(tmp_path / "nginx", http=conf):
        gtunnel(sending(port, f"127.0.0.1:{web}", pki, f"proxyVersion = {version}"))
        ours, answer = say(port, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(f"127.0.0.1 {ours} {port}".encode())


def test_haproxy_learns_what_tls_found_out(gtunnel: Tunnels, pki: Pki, free_port: Ports, tmp_path: Path) -> None:
    port, web = free_port(), free_port()
    facts = " ".join(f"%[{fetch}]" for fetch in ("src", "src_port", "dst_port", "fc_pp_authority", "fc_rcvd_proxy"))
    conf = (
        f"frontend f\n  mode http\n  bind 127.0.0.1:{web} accept-proxy\n"
        f'  http-request return status 200 content-type text/plain lf-string "{facts}"\n'
    )
    with peers.haproxy(tmp_path / "haproxy", conf, [web]):
        gtunnel(sending(port, f"127.0.0.1:{web}", pki, "proxyVersion = 2"))
        ours, answer = say(port, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(f"127.0.0.1 {ours} {port} localhost 1".encode())


@pytest.mark.parametrize("shows", [True, False])
def test_the_second_version_tells_of_the_clients_certificate(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports, shows: bool
) -> None:
    seen: list[Seen] = []
    port, target = free_port(), server(sink(seen))
    gtunnel(
        sending(
            port,
            target.endpoint,
            pki,
            "proxyVersion = 2",
            f"CAfile = {pki.ca}",
            "verifyChain = yes",
            "requireCert = no",
        )
    )
    say(port, b"hello", pki=pki if shows else None)
    header, told = _read(seen[0].data)
    assert seen[0].data == header + b"hello"
    flags, verify = struct.unpack_from("!BI", told[0x20])
    inner = _values(told[0x20][5:])
    assert told[0x02] == b"localhost"
    assert (flags, verify) == ((7, 0) if shows else (1, 1))
    assert inner.get(0x22, b"") == (pki.client.subject.encode() if shows else b"")
    assert inner[0x21].startswith(b"TLSv1.")
    assert inner[0x25] == b"EC256"
    zeroed = header.replace(told[0x03], bytes(4))
    assert crc32c(zeroed) == int.from_bytes(told[0x03], "big")


def _read(data: bytes) -> tuple[bytes, dict[int, bytes]]:
    assert data.startswith(SIGNATURE + b"\x21\x11")
    (size,) = struct.unpack_from("!H", data, 14)
    return data[: 16 + size], _values(data[28 : 16 + size])


def _values(data: bytes) -> dict[int, bytes]:
    found = {}
    while data:
        kind, size = struct.unpack_from("!BH", data)
        found[kind], data = data[3 : 3 + size], data[3 + size :]
    return found


@pytest.mark.parametrize(
    "how", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2 proxy-v2-options crc32c"]
)
def test_haproxy_says_for_whom_it_connects(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: Ports, tmp_path: Path, how: str
) -> None:
    port, outer = free_port(), free_port()
    daemon = gtunnel(accepting(port, echo.endpoint, pki, "acceptProxy = 127.0.0.0/8"))
    conf = f"listen l\n  bind 127.0.0.1:{outer}\n  server s 127.0.0.1:{port} {how}\n"
    with peers.haproxy(tmp_path / "haproxy", conf, [outer]):
        ours, answer = say(outer, b"hello")
    assert answer == b"hello"
    daemon.wait_for(f"Service [s] accepted connection from 127.0.0.1:{ours}")


def test_nginx_says_for_whom_it_connects_and_the_next_is_told(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports, tmp_path: Path
) -> None:
    seen: list[Seen] = []
    port, outer, target = free_port(), free_port(), server(sink(seen))
    daemon = gtunnel(sending(port, target.endpoint, pki, "acceptProxy = 127.0.0.1"))
    stream = f"server {{ listen [::1]:{outer}; proxy_protocol on; proxy_pass 127.0.0.1:{port}; }}"
    with peers.nginx(tmp_path / "nginx", stream=stream):
        ours, _ = say(outer, b"hello", host="::1")
    daemon.wait_for(f"accepted connection from ::1:{ours}")
    assert seen[0].data == f"PROXY TCP6 ::1 ::1 {ours} {outer}\r\nhello".encode()


def test_stunnel_says_for_whom_it_connects(
    gtunnel: Tunnels, stunnel4: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports
) -> None:
    """A client behind two tunnels: stunnel4 takes TLS off, gtunnel puts it on again."""
    port, outer = free_port(), free_port()
    target = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    daemon = gtunnel(f"[c]\nclient = yes\naccept = {port}\nconnect = {target.endpoint}\nacceptProxy = 127.0.0.1\n")
    stunnel4(sending(outer, f"127.0.0.1:{port}", pki))
    ours, answer = say(outer, b"hello")
    assert answer == b"hello"
    daemon.wait_for(f"accepted connection from 127.0.0.1:{ours}")


@pytest.mark.parametrize("first", [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\x00\x00\x00"])
def test_a_health_check_is_served_as_itself(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: Ports, first: bytes
) -> None:
    port = free_port()
    daemon = gtunnel(accepting(port, echo.endpoint, pki, "acceptProxy = 127.0.0.1"))
    ours, answer = say(port, b"hello", first=first)
    assert answer == b"hello"
    daemon.wait_for(f"accepted connection from 127.0.0.1:{ours}")


def test_who_is_no_load_balancer_cannot_say_that_it_is_another(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: Ports
) -> None:
    port = free_port()
    daemon = gtunnel(accepting(port, echo.endpoint, pki, "acceptProxy = 192.0.2.1"))
    with pytest.raises(REFUSED):
        say(port, b"hello", first=b"PROXY TCP4 192.0.2.9 192.0.2.8 1 2\r\n")
    assert say(port, b"hello")[1] == b"hello"
    assert "192.0.2.9" not in daemon.output


@pytest.mark.parametrize(
    "first",
    [
        *(b"GET / HTTP/1.0\r\n\r\n", b"PROXY TCP4 1 2 3\r\n", b"PROXY TCP4 " + b"9" * 500, b"\0" * 16),
        *(SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x31\x11\x00\x00", SIGNATURE + b"\x21\x11\x00\x01x"),
    ],
)
def test_hostile_headers_get_one_clear_line(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: Ports, first: bytes
) -> None:
    port = free_port()
    daemon = gtunnel(accepting(port, echo.endpoint, pki, "acceptProxy = 127.0.0.1"))
    with pytest.raises(REFUSED):
        say(port, first=first)
    daemon.wait_for("Connection reset")
    assert daemon.output.count("LOG3[0]") == 1
    assert not echo.peers


def test_a_port_check_leaves_no_error(gtunnel: Tunnels, pki: Pki, echo: Server, free_port: Ports) -> None:
    port = free_port()
    daemon = gtunnel(accepting(port, echo.endpoint, pki, "acceptProxy = 127.0.0.1"))
    socket.create_connection(("127.0.0.1", port), timeout=10).close()
    daemon.wait_for("The client left without a word")
    assert "LOG3" not in daemon.output


def test_limits_and_programs_know_the_client_that_the_header_names(
    gtunnel: Tunnels, pki: Pki, free_port: Ports, tmp_path: Path
) -> None:
    port, program = free_port(), tmp_path / "who"
    program.write_text('#!/bin/sh\necho "$REMOTE_HOST $REMOTE_PORT"\nread line\n')
    program.chmod(0o755)
    daemon = gtunnel(
        f"[s]\naccept = {port}\ncert = {pki.server.pem}\nacceptProxy = 127.0.0.1\nmaxConnectionsPerIP = 1\n"
        f"exec = {program}\n"
    )
    with contextlib.ExitStack() as stack:
        for number in (1, 2):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            connection.sendall(f"PROXY TCP4 192.0.2.{number} 198.51.100.1 1024 443\r\n".encode())
            peer = stack.enter_context(tls.TlsPeer(connection, tls.client_context(), server_hostname="localhost"))
            said = f"192.0.2.{number} 1024\n".encode()
            assert peer.receive_exactly(len(said)) == said
        with pytest.raises(REFUSED):
            say(port, first=b"PROXY TCP4 192.0.2.1 198.51.100.1 1025 443\r\n")
        daemon.wait_for("too many connections from 192.0.2.1")


@pytest.mark.root
def test_the_target_is_told_the_original_destination(
    lab: Lab, gtunnel: Tunnels, in_lab: Callable[..., Daemon], pki: Pki
) -> None:
    """stunnel names the address that the firewall redirected to: docs/differences.md."""
    target = in_lab("server", [needs.program("ncat"), "-l", "198.51.100.2", "443"])
    conf = f"[s]\naccept = 1443\ntransparent = destination\nprotocol = proxy\ncert = {pki.server.pem}\n"
    gtunnel(conf, launch=partial(lab.popen, "gateway"))
    rule = "-t nat -A PREROUTING -i to-client -p tcp --dport 443 -j REDIRECT --to-ports 1443"
    lab.run("gateway", ["iptables-legacy", *rule.split()], check=True)
    argv = [needs.program("openssl"), "s_client", "-quiet", "-connect", "198.51.100.2:443"]
    in_lab("client", argv)
    target.wait_for("PROXY TCP4 192.0.2.2 198.51.100.2 ")
