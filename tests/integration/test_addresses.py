"""Where connections come in and where they go: accept, connect, failover, delay, local, socket."""

import socket
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_exchange import client_service, send_and_end, server_service
from tests.support import tls
from tests.support.certificates import Pki
from tests.support.servers import Server, echo, source
from tests.support.tunnels import Tunnels

PortFactory = Callable[[], int]
ServerFactory = Callable[..., Server]


def talk(port: int, host: str = "127.0.0.1") -> bytes:
    """What a server says first, over TLS."""
    with tls.connect(port, host=host) as peer:
        data = peer.receive_all()
        peer.close_notify()
        return data


def test_a_port_alone_accepts_on_all_ipv4_addresses(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    running = tunnel(server_service(pki, port, server(source(b"hi")).endpoint))
    assert talk(port) == b"hi"
    assert talk(port, "127.0.0.2") == b"hi"
    assert f"bound to 0.0.0.0:{port}" in running.output


def test_three_colons_accept_on_ipv6_and_through_it_on_ipv4(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    running = tunnel(server_service(pki, f":::{port}", server(source(b"hi")).endpoint))
    assert talk(port, "::1") == b"hi"
    assert talk(port) == b"hi"
    running.wait_for("accepted connection from ::1:")
    # stunnel shows an IPv4 client here as ::ffff:127.0.0.1.
    running.wait_for("127.0.0.1:", times=1)


def test_several_accept_lines_serve_one_service(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    ports = [free_port(), free_port(), free_port()]
    more = "".join(f"accept = 127.0.0.1:{port}\n" for port in ports[1:])
    tunnel(server_service(pki, f"127.0.0.1:{ports[0]}", server(source(b"hi")).endpoint, more))
    assert [talk(port) for port in ports] == [b"hi"] * 3


def test_unix_sockets_on_both_ends(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory, tmp_path: Path
) -> None:
    backend = server(echo, str(tmp_path / "backend"))
    port, front = free_port(), tmp_path / "front"
    running = tunnel(
        server_service(pki, f"127.0.0.1:{port}", backend.endpoint) + client_service(front, f"127.0.0.1:{port}")
    )
    assert stat.S_ISSOCK(front.stat().st_mode)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(front))
        connection.sendall(b"over files")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"over files"
        assert connection.recv(100) == b""
    running.wait_for("Service [client] accepted connection from unnamed socket")
    running.stop()
    assert not front.exists()


def test_the_socket_file_of_a_killed_gtunnel_is_replaced_and_that_of_a_living_one_is_not(
    gtunnel: Tunnels, echo: Server, tmp_path: Path
) -> None:
    front = tmp_path / "front"
    conf = client_service(front, echo.endpoint)
    first = gtunnel(conf)
    assert "Address already in use" in gtunnel.refuse(conf)
    first.kill()
    assert front.exists()
    gtunnel(conf)


def test_targets_are_tried_in_the_order_written(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port, nobody = free_port(), free_port()
    first, second = server(source(b"first")), server(source(b"second"))
    more = f"connect = {first.endpoint}\nconnect = {second.endpoint}"
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", f"127.0.0.1:{nobody}", more))
    assert [talk(port) for _ in range(3)] == [b"first"] * 3
    running.wait_for("failover: priority, starting at entry #0")
    first.close()
    assert talk(port) == b"second"


def test_round_robin_goes_round_over_all_workers(
    tunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    names = [b"a", b"b", b"c"]
    backends = [server(source(name)) for name in names]
    more = "failover = rr\n" + "".join(f"connect = {backend.endpoint}\n" for backend in backends[1:])
    workers = "workers = 3\n" if tunnel.kind == "gtunnel" else ""
    running = tunnel(workers + server_service(pki, f"127.0.0.1:{port}", backends[0].endpoint, more))
    said = [talk(port) for _ in range(9)]
    running.wait_for("failover: round-robin, starting at entry #2")
    # stunnel counts in its own way; both are fair, and the next is always another one.
    assert sorted(said) == sorted(names * 3)
    if tunnel.kind == "gtunnel":
        assert said == names * 3


def test_a_name_is_looked_up_at_the_start(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    backend = server(source(b"hi"))
    gtunnel(server_service(pki, f"127.0.0.1:{port}", f"localhost:{backend.port}"))
    assert talk(port) == b"hi"


def test_a_name_that_is_unknown_at_the_start_is_looked_up_by_each_connection(
    tunnel: Tunnels, free_port: PortFactory
) -> None:
    port = free_port()
    running = tunnel(client_service(f"127.0.0.1:{port}", "no-such-host.invalid:1"))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(30)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    running.wait_for("Error resolving")


def test_delay_looks_a_name_up_for_each_connection(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory, free_port: PortFactory
) -> None:
    port = free_port()
    backend = server(source(b"hi"))
    gtunnel(server_service(pki, f"127.0.0.1:{port}", f"localhost:{backend.port}", "delay = yes"))
    assert talk(port) == b"hi"


def test_local_is_the_address_we_come_from(tunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    port = free_port()
    tunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint, "local = 127.0.0.9"))
    with tls.connect(port) as peer:
        peer.send(b"x")
        assert peer.receive() == b"x"
    assert echo.peers[0][0] == "127.0.0.9"


def test_socket_options_reach_the_sockets(tunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    port = free_port()
    more = "socket = l:SO_KEEPALIVE=yes\nsocket = r:SO_KEEPALIVE=yes\nsocket = a:SO_RCVBUF=70000"
    running = tunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint, more))
    with tls.connect(port) as peer:
        peer.send(b"x")
        assert peer.receive() == b"x"
        for line in (
            "Option SO_RCVBUF set on accept socket",
            "Option SO_KEEPALIVE set on local socket",
            "Option SO_KEEPALIVE set on remote socket",
        ):
            running.wait_for(line)


def test_an_address_that_is_taken_is_named_and_the_start_fails(
    tunnel: Tunnels, echo: Server, free_port: PortFactory
) -> None:
    other = free_port()
    taken = f"[taken]\nclient = yes\naccept = {echo.endpoint}\nconnect = 1\n"
    conf = client_service(f"127.0.0.1:{other}", "127.0.0.1:1") + taken
    output = tunnel.refuse(conf)
    assert "Binding service [taken] failed" in output
    assert "Address already in use" in output
    # And nothing was left behind.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", other))


def test_more_connections_than_descriptors_wait_and_are_served(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    port = free_port()

    def limited(command: list[str], **options: Any) -> "subprocess.Popen[str]":
        # Without the right to go past the hard limit, as most services run.
        setpriv = ["setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource"]
        return subprocess.Popen([*setpriv, "prlimit", "--nofile=124:124", *command], **options)

    running = gtunnel("workers = 1\n" + server_service(pki, f"127.0.0.1:{port}", echo.endpoint), launch=limited)
    peers = []
    for number in range(25):
        peer = tls.connect(port)
        peer.send(b"%d" % number)
        peers.append(peer)
        assert peer.receive() == b"%d" % number
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    running.wait_for("accepting is delayed")
    assert running.running
    for peer in peers:
        peer.socket.close()
    for connection in waiting:
        connection.close()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with tls.connect(port) as peer:
                peer.send(b"again")
                assert peer.receive() == b"again"
                break
        except OSError:
            time.sleep(0.1)
    else:
        pytest.fail("never served again")
    assert "Too many open files" not in running.output


def test_an_idle_tunnel_survives_a_port_scan(gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory) -> None:
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", echo.endpoint))
    for _ in range(50):
        socket.create_connection(("127.0.0.1", port)).close()
    with tls.connect(port) as peer:
        peer.send(b"still here")
        assert peer.receive() == b"still here"
    assert "INTERNAL ERROR" not in running.output
    assert running.running


def test_both_modes_in_one_file_as_the_manual_has_it(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: PortFactory
) -> None:
    inner, outer = free_port(), free_port()
    gtunnel(
        f"verifyChain = yes\nCAfile = {pki.ca}\n"
        f"[out]\nclient = yes\ncheckHost = localhost\naccept = 127.0.0.1:{outer}\nconnect = 127.0.0.1:{inner}\n"
        f"[in]\naccept = 127.0.0.1:{inner}\nconnect = {echo.endpoint}\ncert = {pki.server.pem}\n"
        "verifyChain = no\nrequireCert = no\n"
    )
    assert send_and_end(outer, b"defaults first") == b"defaults first"
