"""What TLS can fail with, once OpenSSL's error queue has been read."""

from OpenSSL import SSL, crypto

from gtunnel.errors import GtunnelError

# The library of OpenSSL that speaks the protocol.
PROTOCOL = "SSL routines"


class OpensslUnfitError(GtunnelError):
    """The OpenSSL that Python has here lacks what every configuration needs."""

    template = "{library}: {reason}"


class TlsSetupError(GtunnelError):
    """A certificate, key, list or option that OpenSSL does not take. Found when a configuration is compiled.

    `option` is the option at fault, by its proper name; `parsed` its value as the configuration has it, for an option
    that has several.
    """

    template = "{option} = {value}: {reason}"

    @property
    def problems(self) -> "tuple[TlsSetupError, ...]":
        """Each thing that is wrong: itself, unless there are several."""
        return (self,)

    @property
    def option(self) -> str:
        """The option's name."""
        return str(self.fields["option"])


class TlsSeveralSetupError(TlsSetupError):
    """Several of them, so that they can be corrected at once. `str()` has a line for each."""

    template = "{detail}"

    def __init__(self, problems: "tuple[TlsSetupError, ...]") -> None:
        self._problems = problems
        super().__init__(detail="\n".join(str(problem) for problem in problems), option=problems[0].option)

    @property
    def problems(self) -> "tuple[TlsSetupError, ...]":
        """Each thing that is wrong."""
        return self._problems


class HandshakeError(GtunnelError):
    """A handshake that failed. `function` is SSL_accept or SSL_connect, as stunnel's log names it."""

    template = "{function}: {reason}"

    def explained(self, explanation: str) -> "HandshakeError":
        """The same, with what an administrator can make of it."""
        return HandshakeError(**_explained(self.fields, explanation))


class TlsStreamError(GtunnelError):
    """A record that could not be read or written after the handshake (an alert, a bad MAC)."""

    template = "{function}: {reason}"

    def explained(self, explanation: str) -> "TlsStreamError":
        """The same, with what an administrator can make of it."""
        return TlsStreamError(**_explained(self.fields, explanation))


class TlsTruncatedError(TlsStreamError):
    """The peer's TCP stream ended without close_notify: what came may not be all (RFC 8446, section 6.1)."""

    template = "{function}: SSL routines::unexpected eof while reading (no close_notify: the data may be truncated)"


class RenegotiationError(TlsStreamError):
    """The peer negotiated anew where it must not, too often, or as somebody else."""

    template = "{reason}"


def _explained(fields: dict[str, object], explanation: str) -> dict[str, object]:
    return fields if not explanation else fields | {"reason": f"{fields['reason']}: {explanation}"}


def openssl_reason(error: SSL.Error | crypto.Error) -> str:
    """OpenSSL's own words for why something could not be set up. The first entry of its queue is the cause; what was
    pushed later tells which layers it passed through."""
    queue = _queue(error)
    return _text(queue[0]) if queue else _other(error)


def protocol_reason(error: SSL.Error) -> str:
    """OpenSSL's own words for why a connection failed, in the form that log filters match: `SSL routines::bad record`.

    The protocol's view is wanted ("bad record mac"), not that of what it is built on ("cipher operation failed").
    """
    queue = _queue(error)
    return _text(next((entry for entry in queue if entry[0] == PROTOCOL), queue[0])) if queue else _other(error)


def _queue(error: SSL.Error | crypto.Error) -> list[tuple[str, str, str]]:
    queue = error.args[0] if error.args else None
    return queue if isinstance(queue, list) else []


def _text(entry: tuple[str, str, str]) -> str:
    library, function, reason = entry
    return f"{library or PROTOCOL}:{function}:{reason or 'unknown reason'}"


def _other(error: SSL.Error | crypto.Error) -> str:
    return str(error.args[-1]) if isinstance(error, SSL.SysCallError) else "protocol error"
