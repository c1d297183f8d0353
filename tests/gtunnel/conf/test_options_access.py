import pytest

from gtunnel.conf.settings import AccessSettings, SocketOwner
from tests.gtunnel.conf.samples import CLIENT, client, configuration, process, reasons


def test_everybody_may_connect_unless_it_is_said() -> None:
    assert client().access == AccessSettings()
    assert client().timeouts.handshake is None
    assert configuration(CLIENT).process.max_connections is None


def test_limits_are_of_the_process_or_of_a_service() -> None:
    assert process("maxConnections = 5").process.max_connections == 5
    assert process("maxConnections = 5").services[0].access.connections is None
    assert client("maxConnections = 5", "maxConnectionsPerIP = 2").access == AccessSettings(connections=5, per_ip=2)
    assert client("maxConnections = 0", "maxConnectionsPerIP = 0").access == AccessSettings()
    assert client("handshakeTimeout = 5").timeouts.handshake == 5.0


@pytest.mark.parametrize("line", ["maxConnections = many", "maxConnectionsPerIP = -1", "handshakeTimeout = soon"])
def test_a_limit_is_a_number(line: str) -> None:
    (reason,) = reasons(CLIENT + line)
    assert "a number from 0 to" in reason


def test_whom_to_ask() -> None:
    assert client("libwrap = yes", "ident = joe").access == AccessSettings(libwrap=True, ident="joe")
    (reason,) = reasons(CLIENT + "ident =")
    assert "a user name is missing" in reason


def test_a_service_says_whose_its_unix_socket_is() -> None:
    assert client("setuid = root", "setgid = 0").socket_owner == SocketOwner(user="root", group="0")
    assert process("setuid = root").services[0].socket_owner == SocketOwner()
    (reason,) = reasons(CLIENT + "setuid = nobody-of-that-name")
    assert "Illegal UID: there is no such user" in reason


@pytest.mark.parametrize("line", ["maxConnections = 5", "maxConnectionsPerIP = 5"])
def test_in_inetd_mode_somebody_else_counts(line: str) -> None:
    (reason,) = reasons(f"{line}\nclient = yes\nconnect = 127.0.0.1:1\n")
    assert reason.startswith("t.conf:1: ")
    assert "Inetd mode: who accepts the connections counts them" in reason
