"""Transparency strategies. What needs a kernel with rules is in tests/integration/test_transparent.py."""

import socket

import pytest

from gtunnel.address import ClientAddress, SocketAddress, from_sockaddr
from gtunnel.conf.settings import Transparency
from gtunnel.net import sockopts
from gtunnel.net.errors import OriginError
from gtunnel.net.loops import LoopGuard
from gtunnel.net.transparency import Accepted, KeepDestination, is_own, original_destination, strategy

CLIENT = ClientAddress(SocketAddress("192.0.2.9", 1234))


def accepted(listener: socket.socket) -> tuple[Accepted, socket.socket]:
    """A connection made straight to a listener."""
    far = socket.create_connection(listener.getsockname()[:2])
    near, peer = listener.accept()
    address = from_sockaddr(peer)
    assert address is not None
    return Accepted(near, ClientAddress(address), from_sockaddr(listener.getsockname())), far


@pytest.mark.root
@pytest.mark.parametrize("mode", list(Transparency))
def test_each_mode_has_its_strategy(mode: Transparency) -> None:
    chosen = strategy(mode, LoopGuard())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        chosen.prepare_listener(listener)
        assert listener.getsockopt(socket.SOL_IP, sockopts.IP_TRANSPARENT) == mode.destination
        connection, far = accepted(listener)
        with connection.sock, far:
            if mode.destination:
                with pytest.raises(OriginError, match="itself: refused, it would loop"):
                    chosen.destination(connection)
            else:
                assert chosen.destination(connection) is None


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_connection_to_a_wildcard_listener_itself_is_a_loop(wildcard: str) -> None:
    family = socket.AF_INET6 if wildcard == "::" else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((wildcard, 0))
        listener.listen()
        far = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
        near, peer = listener.accept()
        address = from_sockaddr(peer)
        assert address is not None
        connection = Accepted(near, ClientAddress(address), from_sockaddr(listener.getsockname()))
        with near, far, pytest.raises(OriginError, match="would loop"):
            KeepDestination(LoopGuard()).destination(connection)


def test_a_local_address_that_is_not_the_listeners_is_the_destination() -> None:
    # As TPROXY hands it over: the accepted socket has the destination's address.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection, far = accepted(listener)
        elsewhere = Accepted(connection.sock, connection.client, SocketAddress("127.0.0.1", 1))
        with connection.sock, far:
            found = KeepDestination(LoopGuard()).destination(elsewhere)
        assert found == from_sockaddr(listener.getsockname())


def test_a_connection_that_we_made_ourselves_is_refused() -> None:
    guard = LoopGuard()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection, far = accepted(listener)
        elsewhere = Accepted(connection.sock, connection.client, SocketAddress("127.0.0.1", 1))
        destination = from_sockaddr(listener.getsockname())
        assert connection.client is not None
        assert destination is not None
        guard.note(connection.client, destination)
        with connection.sock, far, pytest.raises(OriginError, match="is gtunnel's own"):
            KeepDestination(guard).destination(elsewhere)


def test_unix_sockets_have_no_original_destination() -> None:
    near, far = socket.socketpair()
    with near, far, pytest.raises(OriginError, match="Unix socket"):
        KeepDestination(LoopGuard()).destination(Accepted(near, None, None))


def test_a_unix_client_has_no_address_to_keep() -> None:
    with socket.socket() as sock, pytest.raises(OriginError, match="no address to keep"):
        strategy(Transparency.SOURCE, LoopGuard()).prepare_outgoing(sock, None)


def test_without_nat_conntrack_knows_of_no_other_destination() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection, far = accepted(listener)
        with connection.sock, far:
            found = original_destination(connection.sock, socket.AF_INET)
        # Where conntrack runs at all, it names the listener itself.
        assert found in (None, from_sockaddr(listener.getsockname()))


@pytest.mark.root
@pytest.mark.parametrize(
    ("mode", "keeps_port"), [(Transparency.SOURCE, True), (Transparency.BOTH, False)], ids=["source", "both"]
)
def test_the_outgoing_socket_has_the_clients_address(mode: Transparency, keeps_port: bool) -> None:
    with socket.socket() as sock:
        assert strategy(mode, LoopGuard()).prepare_outgoing(sock, CLIENT) is True
        host, port = sock.getsockname()
    assert host == CLIENT.host
    assert port == (CLIENT.port if keeps_port else 0)


@pytest.mark.root
def test_ipv6_clients_are_kept_too() -> None:
    client = ClientAddress(SocketAddress("2001:db8::9", 1234))
    with socket.socket(socket.AF_INET6) as sock:
        strategy(Transparency.BOTH, LoopGuard()).prepare_outgoing(sock, client)
        assert sock.getsockname()[0] == client.host


def test_when_the_port_is_taken_there_is_a_fallback_only_where_the_port_was_chosen() -> None:
    guard = LoopGuard()
    assert strategy(Transparency.SOURCE, guard).fallback() is not None
    for mode in (Transparency.NONE, Transparency.DESTINATION, Transparency.BOTH):
        assert strategy(mode, guard).fallback() is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1"])
def test_loopback_addresses_are_our_own(host: str) -> None:
    assert is_own(host)


@pytest.mark.parametrize("host", ["192.0.2.77", "2001:db8::77"])
def test_foreign_addresses_are_not(host: str) -> None:
    assert not is_own(host)
