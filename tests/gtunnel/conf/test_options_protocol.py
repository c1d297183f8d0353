import pytest

from gtunnel.conf.settings import Protocol, ProtocolSettings
from tests.gtunnel.conf.samples import CLIENT, client, reasons


def test_tls_comes_first_unless_it_is_said() -> None:
    assert client().protocol == ProtocolSettings()


def test_a_protocol_is_named_in_any_case() -> None:
    assert client("protocol = SMTP").protocol.name is Protocol.SMTP


def test_what_a_negotiation_says_is_kept_as_written() -> None:
    protocol = client("protocol = smtp", "protocolHost = me", "protocolUsername = u", "protocolPassword = P w").protocol
    assert (protocol.host, protocol.username, protocol.password) == ("me", "u", "P w")


@pytest.mark.parametrize("name", ["foo", ""])
def test_other_names_are_refused(name: str) -> None:
    (reason,) = reasons(CLIENT + f"protocol = {name}")
    assert "There is no such protocol" in reason


@pytest.mark.parametrize("name", ["capwin", "CapWinCtrl"])
def test_protocols_of_the_manual_that_nobody_speaks_are_refused_by_name(name: str) -> None:
    (reason,) = reasons(CLIENT + f"protocol = {name}")
    assert "gtunnel does not speak this protocol" in reason
