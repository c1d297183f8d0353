import pytest

from gtunnel.address import HostPort
from tests.gtunnel.conf.samples import CLIENT, SERVER, client, reasons


def test_protocol_host_is_a_destination_for_who_is_told_one() -> None:
    assert client("protocol = socks", "protocolHost = example.org:443").protocol.destination == HostPort(
        "example.org", 443
    )
    assert client("protocol = smtp", "protocolHost = me").protocol.destination is None


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:0", ":443", "/run/socket", "a b:443", "a..b:443", "a." * 150 + "b:443"]
)
def test_what_is_no_destination_is_refused(host: str) -> None:
    (reason,) = reasons(CLIENT + f"protocol = socks\nprotocolHost = {host}")
    assert reason.endswith("(HOST:PORT is needed)")


def test_a_socks_client_may_have_a_password_of_255_bytes_and_a_user() -> None:
    assert client("protocol = socks", "protocolUsername = me", f"protocolPassword = {'x' * 255}").protocol.username
    (reason,) = reasons(CLIENT + f"protocol = socks\nprotocolUsername = me\nprotocolPassword = {'x' * 256}")
    assert "longer than 255 bytes" in reason


def test_a_socks_client_that_asks_for_what_clients_meant_has_a_server_to_ask() -> None:
    assert client("protocol = socks", "transparent = destination").connect.targets
    (reason,) = reasons(SERVER + "transparent = destination")
    assert "remove connect" in reason


def test_a_name_for_ehlo_is_one_word() -> None:
    assert client("protocol = smtp", "protocolHost = [192.0.2.1]").protocol.host == "[192.0.2.1]"
    (reason,) = reasons(CLIENT + "protocol = smtp\nprotocolHost = me and you")
    assert "a name for EHLO" in reason


def test_a_name_for_basic_authentication_has_no_colon() -> None:
    lines = "protocol = connect\nprotocolHost = example.org:443\nprotocolUsername = a:b\nprotocolPassword = c\n"
    (reason,) = reasons(CLIENT + lines)
    assert "a name with a colon" in reason
    assert not reasons(CLIENT + lines + "protocolAuthentication = ntlm")


def test_a_http_proxy_may_be_where_the_client_was_going() -> None:
    proxied = client("protocol = connect", "protocolHost = example.org:443").protocol
    assert not proxied.carries_destination
    assert client("protocol = socks").protocol.carries_destination
