"""A peer that negotiates anew within a connection, which TLS 1.2 and older allow (RFC 5246, section 7.4.1.1).

OpenSSL says through the info callback when a handshake starts and when it is done, from the end of the first one on
(`openssl.handshakes`). What is wrong with it is noted with the connection, and its engine raises it: a callback cannot.
"""

from dataclasses import field
from time import monotonic
from typing import Final, Protocol

from OpenSSL import SSL, crypto

from gtunnel.tls.errors import RenegotiationError
from gtunnel.tls.openssl import handshakes
from gtunnel.values import dataclass

# An expensive thing to ask for, and nothing else asks for it often: new keys once in a while, or a certificate once.
MAX_RENEGOTIATIONS: Final = 5
WITHIN_SECONDS: Final = 60.0

# stunnel's words.
NOT_WANTED: Final = "Aborting due to renegotiation request"


@dataclass(slots=True)
class Renegotiation:
    """What one connection has gone through. `refusal` is why it has to end."""

    under_way: bool = False
    # When renegotiations were done, the oldest first. A list: an empty deque takes 600 bytes of each connection.
    finished: list[float] = field(default_factory=list)
    identity: bytes | None = None
    refusal: str | None = None

    def check(self) -> None:
        """Raise `RenegotiationError` if the peer has done what it must not."""
        if self.refusal is not None:
            raise RenegotiationError(reason=self.refusal)


class Bearer(Protocol):
    """What a connection's app data has to have: lines for the log that nobody takes after the first handshake."""

    renegotiation: Renegotiation
    lines: list[object]


def watch(context: SSL.Context, *, allowed: bool) -> None:
    """Look at all renegotiations of a context's connections: too many of them, or any if it is not `allowed`, are
    refused, and so is one that changes who the peer is.
    """

    def notice(connection: SSL.Connection, where: int) -> None:
        bearer = connection.get_app_data()
        state = getattr(bearer, "renegotiation", None)
        if not isinstance(state, Renegotiation):
            return
        if where & SSL.SSL_CB_HANDSHAKE_DONE:
            _done(connection, bearer, state)
        elif where & SSL.SSL_CB_HANDSHAKE_START:
            _started(connection, state, allowed=allowed)

    handshakes.watch_later(context, notice)


def _started(connection: SSL.Connection, state: Renegotiation, *, allowed: bool) -> None:
    if not allowed:
        state.refusal = NOT_WANTED
        return
    while state.finished and monotonic() - state.finished[0] > WITHIN_SECONDS:
        del state.finished[0]
    # A request and the handshake that it leads to both start something.
    if not state.under_way:
        state.under_way = True
        state.identity = _identity(connection)
    if len(state.finished) >= MAX_RENEGOTIATIONS:
        state.refusal = f"{NOT_WANTED}: more than {MAX_RENEGOTIATIONS} in {WITHIN_SECONDS:g} seconds"


def _done(connection: SSL.Connection, bearer: Bearer, state: Renegotiation) -> None:
    if state.under_way:
        state.under_way = False
        state.finished.append(monotonic())
        bearer.lines.clear()
        # What was decided about the first one (checks, OCSP, the log) would be said of another.
        if _identity(connection) != state.identity:
            state.refusal = "The peer presented another certificate in a renegotiation"


def _identity(connection: SSL.Connection) -> bytes | None:
    certificate = connection.get_peer_certificate()
    return None if certificate is None else crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
