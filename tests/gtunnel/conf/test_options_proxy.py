import pytest

from gtunnel.address import SocketAddress
from tests.gtunnel.conf.samples import SERVER, reasons, server


def test_networks_are_those_of_load_balancers() -> None:
    proxy = server("acceptProxy = 192.0.2.0/24", "acceptProxy = 2001:db8::1").protocol.proxy
    assert proxy.sends(SocketAddress("192.0.2.9", 1))
    assert proxy.sends(SocketAddress("2001:db8::1", 1))
    assert not proxy.sends(SocketAddress("192.0.3.9", 1))
    assert not proxy.sends(None)
    assert not server().protocol.proxy.sends(SocketAddress("192.0.2.9", 1))


@pytest.mark.parametrize("value", ["", "yes", "192.0.2.1/24", "example.org"])
def test_other_values_are_refused(value: str) -> None:
    (reason,) = reasons(SERVER + f"acceptProxy = {value}")
    assert "a network such as 192.0.2.0/24 is needed" in reason


def test_the_version_is_that_of_the_header_that_is_sent() -> None:
    assert server("protocol = proxy", "proxyVersion = 2").protocol.proxy.version == 2
    (reason,) = reasons(SERVER + "proxyVersion = 2")
    assert "proxyVersion needs protocol = proxy" in reason
    (reason,) = reasons(SERVER + "protocol = proxy\nproxyVersion = 3")
    assert "Illegal version of the PROXY protocol" in reason


def test_a_unix_sockets_clients_have_no_address_to_compare() -> None:
    (reason,) = reasons("[x]\naccept = /run/x\nconnect = 1\ncert = c\nacceptProxy = 127.0.0.1")
    assert "a Unix socket's clients have no address" in reason
