"""OpenSSL's errors in the form that log filters match."""

import pytest
from OpenSSL import SSL

from gtunnel.errors import GtunnelError
from gtunnel.tls.errors import (
    HandshakeError,
    TlsSetupError,
    TlsSeveralSetupError,
    TlsStreamError,
    TlsTruncatedError,
    openssl_reason,
    protocol_reason,
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SSL.Error([("SSL routines", "", "http request")]), "SSL routines::http request"),
        (SSL.Error([("SSL routines", "ssl3_get_record", "x")]), "SSL routines:ssl3_get_record:x"),
        (
            SSL.Error([("PEM routines", "", "no start line"), ("SSL routines", "", "PEM lib")]),
            "PEM routines::no start line",
        ),
        (SSL.Error([("", "", "")]), "SSL routines::unknown reason"),
        (SSL.Error([]), "protocol error"),
        (SSL.Error(), "protocol error"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "Unexpected EOF"),
    ],
)
def test_a_reason_is_the_first_cause(error: SSL.Error, reason: str) -> None:
    assert openssl_reason(error) == reason


def test_of_a_connection_the_protocols_view_is_wanted() -> None:
    queue = [("Provider routines", "", "cipher operation failed"), ("SSL routines", "", "decryption failed")]
    assert openssl_reason(SSL.Error(queue)) == "Provider routines::cipher operation failed"
    assert protocol_reason(SSL.Error(queue)) == "SSL routines::decryption failed"
    assert protocol_reason(SSL.Error(queue[:1])) == "Provider routines::cipher operation failed"


def test_a_real_error_s_reason() -> None:
    with pytest.raises(SSL.Error) as caught:
        SSL.Context(SSL.TLS_METHOD).set_cipher_list(b"NO-SUCH")
    assert openssl_reason(caught.value) == "SSL routines::no cipher match"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TlsSetupError(option="cert", value="x", reason="why"), "cert = x: why"),
        (HandshakeError(function="SSL_accept", reason="why"), "SSL_accept: why"),
        (TlsStreamError(function="SSL_read", reason="why"), "SSL_read: why"),
    ],
)
def test_an_error_says_what_and_why(error: GtunnelError, text: str) -> None:
    assert str(error) == text


def test_several_errors_are_one_with_a_line_for_each() -> None:
    one, two = (TlsSetupError(option=name, value="x", reason="why") for name in ("cert", "key"))
    both = TlsSeveralSetupError((one, two))
    assert (one.problems, both.problems) == ((one,), (one, two))
    assert str(both) == "cert = x: why\nkey = x: why"


def test_truncation_says_what_that_means() -> None:
    text = str(TlsTruncatedError(function="SSL_read"))
    assert text.startswith("SSL_read: SSL routines::unexpected eof while reading")
    assert "truncated" in text
