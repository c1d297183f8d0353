import os
import socket

import pytest

from netsetup.kernel.sockdiag import ESTABLISHED, LISTEN, SYN_SENT, TcpSocket, join, tcp_sockets
from netsetup.state import Family


def the(port: int, *states: int) -> TcpSocket:
    """The one socket on a local port."""
    (found,) = (one for one in tcp_sockets(*states) if one.port == port)
    return found


def test_a_listening_socket() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        found = the(one.getsockname()[1], LISTEN)
        inode = os.fstat(one.fileno()).st_ino
    assert (found.family, found.host, found.state, found.inode) == (Family.IPV4, "127.0.0.1", LISTEN, inode)
    assert found.transparent is False
    assert found.interface == 0


@pytest.mark.parametrize("v6only", [False, True])
def test_a_listening_socket_of_ipv6(v6only: bool) -> None:
    with socket.socket(socket.AF_INET6) as one:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        one.bind(("::", 0))
        one.listen()
        found = the(one.getsockname()[1], LISTEN)
    assert (found.family, found.host, found.v6only) == (Family.IPV6, "::", v6only)


def test_both_ends_of_a_connection_and_ipv4_on_a_socket_of_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1])) as client:
            accepted, _ = listener.accept()
            with accepted:
                port = client.getsockname()[1]
                near = the(port, ESTABLISHED)
                (far,) = (one for one in tcp_sockets(ESTABLISHED) if one.peer_port == port)
    assert (near.family, near.peer, near.peer_port) == (Family.IPV4, "127.0.0.1", far.port)
    assert (far.family, far.host, far.peer) == (Family.IPV6, "127.0.0.1", "127.0.0.1")
    assert near.remote == far.local


@pytest.mark.root
def test_a_transparent_socket() -> None:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
        one.bind(("127.0.0.1", 0))
        one.listen()
        assert the(one.getsockname()[1]).transparent is True


def test_states_select() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        assert not [found for found in tcp_sockets(SYN_SENT) if found.port == one.getsockname()[1]]


def test_addresses_for_people() -> None:
    assert join("192.0.2.1", 80) == "192.0.2.1:80"
    assert join("2001:db8::1", 80) == "[2001:db8::1]:80"
