"""Socket options on real sockets."""

import os
import socket

import pytest

from gtunnel.conf.settings import SocketOption
from gtunnel.events import Level
from gtunnel.net import sockopts
from gtunnel.net.errors import SocketError
from tests.gtunnel.logs import ListLog

KEEPALIVE = SocketOption(name="SO_KEEPALIVE", level=socket.SOL_SOCKET, number=socket.SO_KEEPALIVE, value=1)
NODELAY = SocketOption(name="TCP_NODELAY", level=socket.IPPROTO_TCP, number=socket.TCP_NODELAY, value=1)
NONSENSE = SocketOption(name="SO_NONSENSE", level=socket.SOL_SOCKET, number=9999, value=1)


def test_options_are_set_in_order_and_said_at_debug_level() -> None:
    log = ListLog(Level.DEBUG)
    with socket.socket() as sock:
        sockopts.apply(sock, (KEEPALIVE, NODELAY), "local", log)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert log.texts == ["Option SO_KEEPALIVE set on local socket", "Option TCP_NODELAY set on local socket"]


def test_a_refused_option_is_told_and_the_others_are_set() -> None:
    log = ListLog(Level.NOTICE)
    with socket.socket() as sock:
        sockopts.apply(sock, (NONSENSE, KEEPALIVE), "remote", log)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert log.texts == ["Failed to set SO_NONSENSE on remote socket: Protocol not available (92)"]


def test_a_listener_demands_its_options_but_for_those_that_its_kind_does_not_know() -> None:
    log = ListLog(Level.NOTICE)
    too_long = SocketOption(name="TCP_KEEPIDLE", level=socket.IPPROTO_TCP, number=socket.TCP_KEEPIDLE, value=100000)
    with socket.socket() as sock:
        sockopts.demand(sock, (NONSENSE, KEEPALIVE), "accept", log)
        assert log.texts == ["Failed to set SO_NONSENSE on accept socket: Protocol not available (92)"]
        with pytest.raises(SocketError, match=r"TCP_KEEPIDLE: Invalid argument \(22\)"):
            sockopts.demand(sock, (too_long,), "accept", log)


def test_options_of_tcp_do_not_concern_unix_sockets() -> None:
    log = ListLog(Level.DEBUG)
    with socket.socket(socket.AF_UNIX) as sock:
        sockopts.apply(sock, (NODELAY, KEEPALIVE), "accept", log)
    assert log.texts == ["Option SO_KEEPALIVE set on accept socket"]


@pytest.mark.root
@pytest.mark.parametrize(
    ("family", "foreign"), [(socket.AF_INET, "192.0.2.77"), (socket.AF_INET6, "2001:db8::77")], ids=["IPv4", "IPv6"]
)
def test_a_transparent_socket_binds_a_foreign_address(family: socket.AddressFamily, foreign: str) -> None:
    with socket.socket(family) as sock:
        with pytest.raises(OSError, match="Cannot assign"):
            sock.bind((foreign, 0))
        sockopts.set_transparent(sock)
        sock.bind((foreign, 0))


@pytest.mark.root
def test_a_dual_stack_socket_is_transparent_for_ipv4_as_well() -> None:
    with socket.socket(socket.AF_INET6) as sock:
        sockopts.set_transparent(sock)
        assert sock.getsockopt(socket.SOL_IP, sockopts.IP_TRANSPARENT) == 1


@pytest.mark.root
def test_a_mark_is_the_sockets() -> None:
    with socket.socket() as sock:
        sockopts.set_mark(sock, 0x2)
        assert sock.getsockopt(socket.SOL_SOCKET, sockopts.SO_MARK) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="drops rights that an ordinary user has not got")
def test_without_rights_the_kernel_says_no() -> None:
    pid = os.fork()
    if pid == 0:
        os.setresuid(65534, 65534, 65534)
        status = 1
        try:
            sockopts.set_transparent(socket.socket())
        except PermissionError:
            status = 0
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
