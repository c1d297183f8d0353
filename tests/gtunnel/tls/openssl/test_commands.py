"""OpenSSL executing its own configuration commands."""

import pytest
from OpenSSL import SSL

from gtunnel.tls.openssl import native, options
from gtunnel.tls.openssl.commands import Conversation

pytestmark = pytest.mark.skipif(not native.SHARED, reason="this OpenSSL is linked statically into the bindings")


def test_commands_change_the_context() -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    with Conversation(context, client=False) as conversation:
        assert conversation.say("Options", "-SessionTicket,ServerPreference") is None
        assert conversation.finish() is None
    numbers = options.numbers()
    both = numbers["NO_TICKET"] | numbers["CIPHER_SERVER_PREFERENCE"]
    assert options.get(context) & both == both


@pytest.mark.parametrize(
    ("command", "parameter", "reason"),
    [
        ("NoSuch", "1", "OpenSSL has no such command"),
        ("MinProtocol", None, "it needs a parameter"),
        ("CipherString", "BAD", "SSL routines::no cipher match"),
        ("MinProtocol", "TLSv9", "SSL routines::bad value"),
        ("Certificate", "/none", "system library::No such file or directory"),
    ],
)
def test_refusals_have_openssl_s_reason(command: str, parameter: str | None, reason: str) -> None:
    with Conversation(SSL.Context(SSL.TLS_METHOD), client=False) as conversation:
        assert conversation.say(command, parameter) == reason
    # Nothing is left behind for whoever fails next.
    with pytest.raises(SSL.Error) as caught:
        SSL.Context(SSL.TLS_METHOD).set_cipher_list(b"NO-SUCH")
    assert [entry[2] for entry in caught.value.args[0]] == ["no cipher match"]
