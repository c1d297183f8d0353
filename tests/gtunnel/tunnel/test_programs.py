import socket

from gtunnel.address import from_sockaddr
from gtunnel.net.transparency import Accepted
from gtunnel.tunnel.connection import client_address
from gtunnel.tunnel.programs import variables


def test_a_program_learns_who_the_client_is() -> None:
    with socket.socket() as sock:
        client = client_address(from_sockaddr(("192.0.2.7", 4711)))
        assert variables(Accepted(sock, client, None), None) == {"REMOTE_HOST": "192.0.2.7", "REMOTE_PORT": "4711"}


def test_a_unix_socket_s_client_has_no_address() -> None:
    with socket.socket() as sock:
        assert variables(Accepted(sock, None, None), None) == {"REMOTE_HOST": "localhost", "REMOTE_PORT": ""}


def test_a_program_that_is_the_client_learns_nothing() -> None:
    assert variables(None, None) == {}
