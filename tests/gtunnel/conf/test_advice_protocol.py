import pytest

from gtunnel.conf import advice_protocol
from gtunnel.conf.advice import Severity, advise
from tests.gtunnel.conf.samples import CLIENT, SERVER, configuration

CREDENTIALS = "protocolUsername = u\nprotocolPassword = p\n"
SECONDARY = "[t]\nconnect = 127.0.0.1:2002\ncert = other.pem\nsni = s:name\n"


def remarks(text: str) -> list[str]:
    """What `gtunnel check` says of protocols."""
    found = advise(configuration(text))
    return [one.text for one in found if one.severity is Severity.REMARK and "certificate" not in one.text]


@pytest.mark.parametrize(
    "text",
    [
        CLIENT + "protocol = smtp\nprotocolHost = me\nprotocolAuthentication = login\n" + CREDENTIALS,
        SERVER + "protocol = smtp\n",
        SERVER + SECONDARY,
        SERVER + SECONDARY + "protocol = proxy\n",
    ],
)
def test_what_is_used_needs_no_remark(text: str) -> None:
    assert remarks(text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CLIENT + "protocolHost = me\n", "protocolHost (t.conf:5) does nothing: there is no protocol"),
        (
            SERVER + "protocol = smtp\nprotocolHost = me\n",
            "protocolHost (t.conf:6) does nothing: protocol = smtp in server mode has no use for it",
        ),
        (
            CLIENT + "protocol = smtp\nprotocolAuthentication = login\n",
            "protocolAuthentication does nothing without a name",
        ),
        (
            SERVER + "protocol = smtp\n" + SECONDARY,
            "its connect is not used: protocol = smtp of [s] connects before the client names a server",
        ),
        (
            SERVER + SECONDARY + "protocol = smtp\n",
            "its protocol is not used: it begins before the client names a server",
        ),
        (SERVER + SECONDARY + "acceptProxy = 192.0.2.1\n", "its acceptProxy is not used, but that of [s]"),
        (SERVER + "protocol = pgsql\n" + SECONDARY + "protocol = proxy\n", "its protocol is not used, but that of [s]"),
    ],
)
def test_what_does_nothing_is_remarked_on(text: str, expected: str) -> None:
    assert remarks(text) == [expected]


SOCKS = "[s]\naccept = 127.0.0.1:1\ncert = c\nprotocol = socks\n"


def open_socks(*lines: str) -> list[str]:
    (service,) = configuration(SOCKS + "\n".join(lines)).services
    return [text for text, _ in advice_protocol.open_socks(service, configuration(SOCKS))]


def test_a_socks_server_that_is_open_is_told_of() -> None:
    assert len(open_socks()) == 2
    assert "prove nothing" in open_socks("socksTargets = allow *")[0]
    assert "any address" in open_socks("socksUsers = f")[0]
    assert not open_socks("socksTargets = allow *", "verifyChain = yes", "CAfile = x")
    assert "not inside TLS" in open_socks("socksTargets = allow *", "socksUsers = f", "socksUdp = 127.0.0.1")[0]


def test_who_may_say_who_the_client_is() -> None:
    for network, count in (("0.0.0.0/0", 1), ("::/0", 1), ("192.0.2.0/24", 0)):
        whole = configuration(f"[s]\naccept = 1\nconnect = 2\ncert = c\nacceptProxy = {network}\n")
        assert len(list(advice_protocol.believed_headers(whole.services[0], whole))) == count
