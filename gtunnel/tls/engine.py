"""TLS as a machine that bytes go into and come out of. It has no socket: a leg of a connection owns that.

OpenSSL works on two memory BIOs. Received ciphertext is `feed`-ed in; `read_into` takes plaintext out; `write` puts
plaintext in; `take_output` fetches what must be sent. Any call may produce output (a handshake's flight, an alert, the
answer to a key update), so whoever drives the engine asks `take_output` after each of them; and `write` may have to
wait for input (renegotiation in TLS 1.2), which it says by taking nothing.

The two directions close separately (RFC 8446, section 6.1): `close` sends our close_notify and leaves reading open,
`ended` tells that the peer's has come. A stream that ends without one is a `TlsTruncatedError`.
"""

from dataclasses import field
from typing import Final

from OpenSSL import SSL

from gtunnel.events import Level
from gtunnel.tls import algorithms
from gtunnel.tls.errors import HandshakeError, TlsStreamError, TlsTruncatedError, protocol_reason
from gtunnel.tls.ocsp.inquiry import Evidence
from gtunnel.tls.openssl import binding, handshakes, sessions
from gtunnel.tls.openssl.records import Records
from gtunnel.tls.openssl.verify import OK, verify_result
from gtunnel.tls.verification import Verdicts, issuer_text, subject_text
from gtunnel.values import dataclass
from gtunnel.wire.steps import TlsFacts

# More than any protocol's first word.
FIRST_BYTES: Final = 32
# TLSEXT_MAXLEN_host_name (tls1.h): RFC 1035's limit.
MAX_HOST_NAME: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Negotiated:
    """What a finished handshake agreed on."""

    version: str
    cipher: str
    bits: int
    reused: bool
    group: str | None
    peer_subject: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks a server for.

    `server_name` is its SNI (RFC 6066), None sends none. `session` is one to resume, from an earlier connection to the
    same server. `staple` asks for an OCSP answer, which a callback of the context takes. `groups` takes the place of
    the context's list.
    """

    server_name: str | None = None
    session: sessions.Session | None = field(default=None, repr=False)
    staple: bool = False
    groups: str | None = None


class TlsEngine:
    """One TLS connection without a socket. Not safe for two greenlets at once; a connection has only one."""

    __slots__ = (
        *("_connection", "_context", "_eof", "_function", "_records"),
        *("_server", "_verdicts", "ended", "first", "has_output", "more"),
    )

    def __init__(self, context: SSL.Context, request: Request | None) -> None:
        """Start a connection of `context`: a client's, with what it asks for, or without that a server's.

        Raises `HandshakeError` for what cannot be a server name.
        """
        connection = SSL.Connection(context, None)
        # A name may lead to another context. The callbacks of the first one are called all the same (renegotiation).
        self._context = context
        self._verdicts = Verdicts()
        connection.set_app_data(self._verdicts)
        if request is not None:
            connection.set_connect_state()
            if request.server_name:
                connection.set_tlsext_host_name(_host_name(request.server_name))
            if request.staple:
                connection.request_ocsp()
            if request.session is not None:
                sessions.resume(connection, request.session)
            if request.groups is not None:
                binding.set_own_groups(connection, request.groups)
        else:
            connection.set_accept_state()
        self._connection = connection
        self._records = Records(connection)
        # Bytes of ciphertext that must be sent.
        self.has_output = self._records.has_output
        self._server = request is None
        self._function = "SSL_accept" if self._server else "SSL_connect"
        self._eof = False
        # What the peer said first: it tells what it speaks, if that is not TLS.
        self.first = b""
        self.ended = False
        # Whether `read_into` may give something without being fed.
        self.more = False

    def feed(self, ciphertext: memoryview | bytes) -> None:
        """Put received bytes in. The BIO takes all; the caller bounds how much it feeds before reading."""
        if len(ciphertext):  # a BIO takes nothing for a failure
            if not self.first:
                self.first = bytes(ciphertext[:FIRST_BYTES])
            self._records.feed(ciphertext)

    def feed_eof(self) -> None:
        """Say that the TCP stream has ended: nothing more will be fed."""
        self._eof = True

    def handshake(self) -> bool:
        """Go on with the handshake; True when it is finished, False when it needs input. Raises `HandshakeError`."""
        try:
            done = handshakes.proceed(self._connection)
        except SSL.Error as error:
            raise HandshakeError(function=self._function, reason=protocol_reason(error)) from error
        if done:
            if handshakes.established(self._connection, self._context):
                self._records.check = self._verdicts.renegotiation.check
            self.more = self._records.unread() > 0
        elif self._eof:
            raise HandshakeError(function=self._function, reason="SSL routines::unexpected eof while reading")
        elif sessions.CAN_KEEP_END and self._server and self.reused and self.tickets_follow:
            # A server's sessions are renewed, but not beyond their end.
            sessions.keep_end(self._connection)
        return done

    def read_into(self, buffer: memoryview, ciphertext: memoryview | None = None, fed: int = 0) -> int:
        """Decrypt up to `len(buffer)` bytes; with `ciphertext`, after its first `fed` bytes were fed. 0 means: nothing
        now (feed more), or the end if `ended` is set.

        Raises `TlsStreamError`; `TlsTruncatedError` once everything received was read and no close_notify was in it.
        What was decrypted before such a failure is good: it is returned, and the next call raises.
        """
        self.more = False
        if self.ended:
            return 0
        records = self._records
        try:
            count = records.read(buffer, ciphertext, fed)
        except SSL.ZeroReturnError:
            self.ended = True
            return 0
        except SSL.Error as error:
            raise TlsStreamError(function="SSL_read", reason=protocol_reason(error)) from error
        if not count and self._eof:
            if not self.tolerates_truncation:
                raise TlsTruncatedError(function="SSL_read")
            self.ended = True
        self.more = count == len(buffer) or records.failure is not None
        return count

    def write(self, plaintext: memoryview) -> int:
        """Encrypt; returns how much was taken: all, or 0 if input is needed first. Then the same has to be given again.

        Raises `TlsStreamError`.
        """
        try:
            return self._records.write(plaintext)
        except SSL.Error as error:
            raise TlsStreamError(function="SSL_write", reason=protocol_reason(error)) from error

    def take_output(self, buffer: memoryview) -> int:
        """Move ciphertext that must be sent into `buffer`: how many bytes; 0 when there is none."""
        return self._records.output(buffer)

    def seal(self, plaintext: memoryview, buffer: memoryview) -> tuple[int, int]:
        """`write` and `take_output` in one: what each returns. Raises `TlsStreamError`."""
        try:
            return self._records.seal(plaintext, buffer)
        except SSL.Error as error:
            raise TlsStreamError(function="SSL_write", reason=protocol_reason(error)) from error

    def shrink(self) -> None:
        """Give back what only a busy connection needs. Not before the handshake is done."""
        self._records.shrink()
        self.has_output = self._records.has_output

    def close(self) -> None:
        """Send close_notify (it is then in the output). The peer may go on sending. Raises `TlsStreamError`."""
        try:
            self._connection.shutdown()
        except (SSL.WantReadError, SSL.WantWriteError, SSL.ZeroReturnError):
            return
        except SSL.Error as error:
            raise TlsStreamError(function="SSL_shutdown", reason=protocol_reason(error)) from error

    @property
    def tolerates_truncation(self) -> bool:
        """Whether a stream without close_notify is taken for one that has ended."""
        return binding.has_option(self._connection, "IGNORE_UNEXPECTED_EOF")

    @property
    def rejected(self) -> str:
        """What verification said against the peer; empty if nothing."""
        return self._verdicts.rejected

    def take_verdicts(self) -> list[tuple[Level, str]]:
        """The lines that verification wants logged, once."""
        lines = self._verdicts.lines
        self._verdicts.lines = []
        return lines

    @property
    def function(self) -> str:
        """SSL_accept or SSL_connect, for errors."""
        return self._function

    def evidence(self) -> Evidence:
        """What the peer proved itself with. Call it after `handshake` returned True."""
        connection = self._connection
        chain = connection.get_verified_chain()
        if not chain:
            # A resumed session has the leaf, and the chain was verified when it began.
            leaf = connection.get_peer_certificate()
            chain = [] if leaf is None else [leaf]
        return Evidence(tuple(chain), self._verdicts.stapled)

    def convinces(self, *, require: bool) -> bool:
        """Whether the peer's certificate is what verification demands, in this handshake or the one that it resumes;
        `require` says that there has to be one. Without `redirect` nobody gets as far who does not convince."""
        if self.by_shared_key:
            return True
        if verify_result(self._connection) != OK:
            return False
        return not require or self._connection.get_peer_certificate() is not None

    def peer_names(self) -> tuple[str, str] | None:
        """Subject and issuer of the peer's certificate, as text; None if it has shown none, now or in the session that
        was resumed."""
        certificate = self._connection.get_peer_certificate()
        return None if certificate is None else (subject_text(certificate), issuer_text(certificate))

    @property
    def server_name(self) -> str | None:
        """The name that a client has asked for, or that we ask for as one; None if there is none."""
        name = self._connection.get_servername()
        return None if name is None else name.decode("ascii", "backslashreplace")

    @property
    def outlived(self) -> bool:
        """Whether the handshake resumed a session whose peer's certificate has expired since it was verified."""
        certificate = self._connection.get_peer_certificate() if self.reused else None
        return certificate is not None and certificate.has_expired()

    @property
    def by_shared_key(self) -> bool:
        """Whether both sides proved themselves by a pre-shared key, in this handshake or the one that it resumes."""
        # That a key was found does not say that it was used: a TLS 1.3 handshake may have gone on without it.
        cipher = self._connection.get_cipher_name() or ""
        return self._verdicts.shared_key and self.reused if self.tickets_follow else "PSK" in cipher

    @property
    def reused(self) -> bool:
        """Whether the handshake resumed a session."""
        return binding.session_reused(self._connection)

    @property
    def tickets_follow(self) -> bool:
        """Whether what can be resumed comes after the handshake (TLS 1.3) instead of with it."""
        return self._connection.get_protocol_version() >= SSL.TLS1_3_VERSION

    @property
    def group(self) -> str | None:
        """The group of the key exchange, as OpenSSL calls it; None if there was none, or this build does not tell."""
        name = getattr(self._connection, "get_group_name", None)
        return None if name is None else name()

    def has_another_session(self, than: SSL.Session | None) -> bool:
        """Whether the peer has given a session (a TLS 1.3 ticket) since `session` returned that one."""
        return sessions.has_another(self._connection, than)

    def session(self) -> SSL.Session | None:
        """The session as it is now; None if there is none."""
        return self._connection.get_session()

    @property
    def has_said_farewell(self) -> bool:
        """Whether our close_notify was sent. OpenSSL resumes no session whose connection is freed without."""
        return bool(self._connection.get_shutdown() & SSL.SENT_SHUTDOWN)

    def facts(self, *, demanding: bool) -> TlsFacts:
        """What to tell a target of its client. `demanding`: whether its certificate was verified at all."""
        connection = self._connection
        certificate, own = connection.get_peer_certificate(), connection.get_certificate()
        return TlsFacts(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "",
            server_name=(connection.get_servername() or b"").decode("ascii", "replace"),
            certificate=certificate is not None,
            verified=demanding and certificate is not None and self.convinces(require=True),
            resumed=self.reused,
            common_name="" if certificate is None else (certificate.get_subject().CN or ""),
            signature="" if own is None else algorithms.signature(own),
            key="" if own is None else algorithms.key(own),
        )

    def negotiated(self) -> Negotiated:
        """What the handshake agreed on. Call it after `handshake` returned True."""
        connection = self._connection
        certificate = connection.get_peer_certificate()
        return Negotiated(
            version=connection.get_protocol_version_name(),
            cipher=connection.get_cipher_name() or "none",
            bits=connection.get_cipher_bits() or 0,
            reused=binding.session_reused(connection),
            group=self.group,
            peer_subject=subject_text(certificate) if certificate is not None else None,
        )


def _host_name(server_name: str) -> bytes:
    # RFC 6066, section 3: ASCII, without a trailing dot.
    try:
        name = server_name.removesuffix(".").encode("idna")
    except UnicodeError as error:
        raise HandshakeError(function="SSL_connect", reason=f"{server_name!r} is not a server name: {error}") from error
    if len(name) > MAX_HOST_NAME:
        # OpenSSL would refuse it, and pyOpenSSL would not say so.
        raise HandshakeError(function="SSL_connect", reason=f"{server_name!r} is not a server name: too long")
    return name
