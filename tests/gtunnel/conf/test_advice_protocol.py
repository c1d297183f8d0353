import pytest

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
        (SERVER + SECONDARY + "protocol = smtp\n", "its protocol is not used, but that of [s]"),
    ],
)
def test_what_does_nothing_is_remarked_on(text: str, expected: str) -> None:
    assert remarks(text) == [expected]
