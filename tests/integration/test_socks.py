"""SOCKS inside TLS with real clients: through a client service and a server service, as in the manual's example."""

import contextlib
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import peers, tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

Ports = Callable[[], int]
# gtunnel refuses its loopback unless it is told otherwise.
HERE = "socksTargets = allow 127.0.0.1\nsocksTargets = allow ::1\n"


def through(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """curl through a proxy."""
    return peers.curl(*arguments, through_proxy=True)


def web(connection: socket.socket) -> None:
    """A web server that says hello."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")


def outer(port: int, pki: Pki, more: str = "") -> str:
    return f"[socks_server]\nprotocol = socks\naccept = 127.0.0.1:{port}\ncert = {pki.server.pem}\n{more}"


def inner(port: int, server: int, pki: Pki) -> str:
    return (
        f"[socks_client]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:{server}\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\n"
    )


@pytest.fixture
def vpn(gtunnel: Tunnels, pki: Pki, free_port: Ports) -> Callable[[str], int]:
    """`vpn(more)`: the port of a client service whose server service has these lines."""

    def start(more: str = HERE) -> int:
        server, client = free_port(), free_port()
        gtunnel(outer(server, pki, more) + inner(client, server, pki))
        return client

    return start


@pytest.mark.parametrize("option", ["--socks4", "--socks4a", "--socks5", "--socks5-hostname"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_curl(vpn: Callable[..., int], server: Callable[..., Server], option: str, host: str) -> None:
    target = server(web)
    said = through(option, f"127.0.0.1:{vpn()}", f"http://{host}:{target.port}/")
    assert said.stdout == "hello\n", said.stderr


@pytest.mark.parametrize("option", ["--socks5", "--socks5-hostname"])
def test_curl_to_ipv6(vpn: Callable[..., int], server: Callable[..., Server], option: str) -> None:
    target = server(web, host="::1")
    said = through(option, f"127.0.0.1:{vpn()}", f"http://[::1]:{target.port}/")
    assert said.stdout == "hello\n", said.stderr


@pytest.mark.parametrize("option", ["--socks4a", "--socks5-hostname"])
def test_each_side_with_stunnel(
    tunnel_pair: tuple[Tunnels, Tunnels],
    pki: Pki,
    free_port: Ports,
    server: Callable[..., Server],
    option: str,
) -> None:
    client, far = tunnel_pair
    target, ports = server(web), (free_port(), free_port())
    # stunnel refuses 127.0.0.1, but not this name of it; gtunnel has a rule for either.
    ours = far.kind == "gtunnel"
    far(outer(ports[0], pki, HERE if ours else ""))
    client(inner(ports[1], ports[0], pki))
    host = "127.0.0.1" if ours else "0.0.0.0"
    said = through(option, f"127.0.0.1:{ports[1]}", f"http://{host}:{target.port}/")
    assert said.stdout == "hello\n", said.stderr


def test_a_client_learns_why_it_was_not_connected(vpn: Callable[..., int], free_port: Ports) -> None:
    proxy = f"127.0.0.1:{vpn('socksTargets = allow 127.0.0.1' + chr(10) + 'socksTargets = allow *' + chr(10))}"
    refused = through("-v", "--socks5", proxy, f"http://127.0.0.1:{free_port()}/")
    assert "(5)" in refused.stderr
    unknown = through("-v", "--socks5-hostname", proxy, "http://none.invalid/")
    assert "(4)" in unknown.stderr


def test_loopback_is_refused_by_default_and_lines_decide_about_the_rest(
    vpn: Callable[..., int], server: Callable[..., Server]
) -> None:
    target = server(web)
    for more in ("", "socksTargets = allow *\n", f"socksTargets = deny *:{target.port}\n" + HERE):
        said = through("-v", "--socks5", f"127.0.0.1:{vpn(more)}", f"http://127.0.0.1:{target.port}/")
        assert "(2)" in said.stderr
    assert not target.peers


@pytest.mark.parametrize("password", ["hunter2", "wrong"])
def test_names_and_passwords(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports, tmp_path: Path, password: str
) -> None:
    users = tmp_path / "users"
    users.write_text("me:hunter2\n")
    users.chmod(0o600)
    target, ports = server(web), (free_port(), free_port())
    daemon = gtunnel(outer(ports[0], pki, f"socksUsers = {users}\n{HERE}") + inner(ports[1], ports[0], pki))
    url = f"http://127.0.0.1:{target.port}/"
    said = through("--socks5", f"me:{password}@127.0.0.1:{ports[1]}", url)
    if password == "hunter2":  # noqa: S105
        assert said.stdout == "hello\n", said.stderr
        daemon.wait_for("SOCKS user: me")
    else:
        assert said.returncode == 97
        daemon.wait_for("socks: wrong name or password (user 'me')")
    assert through("--socks4", f"127.0.0.1:{ports[1]}", url).returncode == 97
    assert "hunter2" not in daemon.output


def test_a_service_asks_a_socks_server_for_its_destination(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports, tmp_path: Path
) -> None:
    users = tmp_path / "users"
    users.write_text("me:hunter2\n")
    target, ports = server(web), (free_port(), free_port())
    service = (
        f"protocol = socks\nprotocolHost = localhost:{target.port}\nprotocolUsername = me\nprotocolPassword = hunter2\n"
    )
    daemon = gtunnel(outer(ports[0], pki, f"socksUsers = {users}\n{HERE}") + inner(ports[1], ports[0], pki) + service)
    assert peers.curl(f"http://127.0.0.1:{ports[1]}/").stdout == "hello\n"
    assert "hunter2" not in daemon.output


def test_a_service_asks_stunnel(
    gtunnel: Tunnels, stunnel4: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports
) -> None:
    target, ports = server(web), (free_port(), free_port())
    stunnel4(outer(ports[0], pki))
    gtunnel(inner(ports[1], ports[0], pki) + f"protocol = socks\nprotocolHost = 0.0.0.0:{target.port}\n")
    assert peers.curl(f"http://127.0.0.1:{ports[1]}/").stdout == "hello\n"


def test_without_redirection_there_is_nobody_to_ask_for(gtunnel: Tunnels, pki: Pki, free_port: Ports) -> None:
    ports = (free_port(), free_port())
    gtunnel(outer(ports[0], pki))
    daemon = gtunnel(inner(ports[1], ports[0], pki) + "protocol = socks\n")
    assert peers.curl(f"http://127.0.0.1:{ports[1]}/").returncode
    daemon.wait_for("connected to the listener")


@pytest.mark.parametrize(
    "said",
    [
        *(b"\x06\x01\x00", b"GET / HTTP/1.0\r\n\r\n", b"\x05\x00", b"\x05\x01\x02", b"\x05\x01\x00\x05\x01\x00\x09"),
        *(b"\x05\x01\x00\x05\x01\x00\x03\x00\x00\x50", b"\x05\x01\x00\x05\x01\x00\x03\x02\0\0\x00\x50"),
        *(b"\x05\x01\x00\x05\x01\x00\x03\xff" + b"a" * 255 + b"\x00\x50", b"\x04\x01\x00\x50\x00\x00\x00\x01\0\0"),
        *(b"\x04\x01\x00\x50\x01\x02\x03\x04" + b"u" * 1000, b"\x05\x01\x00\x05\x03\x00\x01" + bytes(6)),
    ],
)
def test_hostile_clients_get_one_clear_line(gtunnel: Tunnels, pki: Pki, free_port: Ports, said: bytes) -> None:
    port = free_port()
    daemon = gtunnel(outer(port, pki))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        peer = tls.TlsPeer(connection, tls.client_context(), server_hostname="localhost")
        peer.send(said)
        # Who speaks no SOCKS is not answered in it.
        with contextlib.suppress(ConnectionResetError):
            peer.receive_all()
    daemon.wait_for("Connection reset")
    assert daemon.output.count("LOG3[0]") == 1


@pytest.mark.parametrize(
    "said", [b"", b"\x05", b"\x05\x02\x00", b"\x05\x01\x00\x05\x01", b"\x04\x01\x00\x50\x01\x02\x03\x04us"]
)
@pytest.mark.parametrize("leaves", [True, False], ids=["leaves", "silent"])
def test_clients_that_stop_in_the_middle(
    gtunnel: Tunnels, pki: Pki, free_port: Ports, said: bytes, leaves: bool
) -> None:
    port = free_port()
    daemon = gtunnel(outer(port, pki, "TIMEOUTbusy = 1\n" + HERE))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        peer = tls.TlsPeer(connection, tls.client_context(), server_hostname="localhost")
        peer.send(said)
        if leaves:
            peer.close_notify()
        with contextlib.suppress(OSError, tls.TruncatedError):
            peer.receive_all()
    daemon.wait_for("Connection reset")
    assert ("Unexpected socket close" if leaves else "TIMEOUTbusy exceeded") in daemon.output


def test_clients_that_do_not_convince_reach_the_page_that_says_why_and_nothing_else(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Ports
) -> None:
    """`redirect`: what they ask for is not even read."""
    port, target, elsewhere = free_port(), server(web), server(web)
    gtunnel(outer(port, pki, f"{HERE}CAfile = {pki.ca}\nverifyChain = yes\nredirect = {elsewhere.endpoint}\n"))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        peer = tls.TlsPeer(connection, tls.client_context(), server_hostname="localhost")
        peer.send(b"\x04\x01" + target.port.to_bytes(2, "big") + bytes((127, 0, 0, 1)) + b"\0")
        assert peer.receive_exactly(8) == b"HTTP/1.0"
    assert len(elsewhere.peers) == 1
    assert not target.peers


def test_a_file_of_users_that_is_none_is_told_at_its_line(gtunnel: Tunnels, pki: Pki, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("me hunter2\n")
    said = gtunnel.refuse(outer(1080, pki, f"socksUsers = {users}\n"))
    assert f'"socksUsers = {users}": Service [socks_server]: {users} line 1: Not in user:password format' in said
    assert "me hunter2" not in said


@pytest.mark.parametrize(
    "name", ["127.1", "0x7f.1", "2130706433", "localhost.", "::ffff:127.0.0.1", "0", "fe80::1%99999999999", "a..b", "%"]
)
def test_odd_names_lead_nowhere(
    gtunnel: Tunnels, pki: Pki, free_port: Ports, server: Callable[..., Server], name: str
) -> None:
    port, target = free_port(), server(web)
    daemon = gtunnel(outer(port, pki))
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        peer = tls.TlsPeer(connection, tls.client_context(), server_hostname="localhost")
        host = bytes((len(name),)) + name.encode()
        peer.send(b"\x05\x01\x00\x05\x01\x00\x03" + host + target.port.to_bytes(2, "big"))
        assert peer.receive_all()[2:4] in {b"\x05\x02", b"\x05\x04"}
    daemon.wait_for("Connection reset")
    assert daemon.output.count("LOG3[0]") == 1
    assert not target.peers
