"""What TLS can fail with, once OpenSSL's error queue has been read."""

from OpenSSL import SSL

from gtunnel.errors import GtunnelError


class TlsSetupError(GtunnelError):
    """A certificate, key, list or option that OpenSSL does not take. Found when a configuration is compiled."""

    template = "{what}: {reason}"


class HandshakeError(GtunnelError):
    """A handshake that failed. `function` is SSL_accept or SSL_connect, as stunnel's log names it."""

    template = "{function}: {reason}"


class TlsStreamError(GtunnelError):
    """A record that could not be read or written after the handshake (an alert, a bad MAC)."""

    template = "{function}: {reason}"


class TlsTruncatedError(TlsStreamError):
    """The peer's TCP stream ended without close_notify: what came may not be all (RFC 8446, section 6.1)."""

    template = "{function}: SSL routines::unexpected eof while reading (no close_notify: the data may be truncated)"


def openssl_reason(error: SSL.Error) -> str:
    """OpenSSL's own words, in the form that log filters match: `SSL routines::certificate verify failed`."""
    queue = error.args[0] if error.args else None
    if isinstance(queue, list) and queue:
        # The first entry is the cause; what was pushed later tells which layers it passed through.
        library, function, reason = queue[0]
        return f"{library or 'SSL routines'}:{function}:{reason or 'unknown reason'}"
    if isinstance(error, SSL.SysCallError):
        return str(error.args[-1])
    return "protocol error"
