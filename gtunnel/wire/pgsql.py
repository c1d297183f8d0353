"""PostgreSQL's request for TLS (its manual, "Message Flow", SSL Session Encryption)."""

import struct

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import ProtocolError
from gtunnel.wire.starttls import Lines, telling_client
from gtunnel.wire.steps import Connect, Negotiation, Receive, Scene, Send, Side, StartTls

NAME = "pgsql"
# Length and code: what all of a client's first messages begin with.
HEADER_BYTES = 8
SSL_REQUEST = struct.pack("!II", HEADER_BYTES, 80877103)
GSS_REQUEST = struct.pack("!II", HEADER_BYTES, 80877104)
CANCEL_CODE = 80877102
YES, NO = b"S", b"N"
# A client asks for GSSAPI, then for TLS; who asks more often does not want an answer.
MAX_REQUESTS = 3
# SQLSTATEs (PostgreSQL's manual, appendix A).
NOT_AUTHORIZED, CANNOT_CONNECT = b"28000", b"08001"


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: who does not ask for TLS is told to, as PostgreSQL tells it."""
    words = error_response(NOT_AUTHORIZED, b"TLS is required: set sslmode=require or better")
    yield from telling_client(words, _receive_request())
    yield Send(Side.CLIENT, YES, binary=True)
    yield StartTls()
    yield from telling_client(error_response(CANNOT_CONNECT, b"the database cannot be reached"), _connect())


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: TLS is ours, so a client that asks for it (psql does by default) is told to do without."""
    yield from telling_client(error_response(CANNOT_CONNECT, b"no secure connection to the database"), _secure())


def error_response(state: bytes, message: bytes) -> bytes:
    """An error that every client shows."""
    text = b"SFATAL\0VFATAL\0C" + state + b"\0M" + message + b"\0\0"
    return b"E" + struct.pack("!I", 4 + len(text)) + text


def _connect() -> Lines:
    yield Connect()
    return b""


def _receive_request() -> Lines:
    for _ in range(MAX_REQUESTS):
        request = yield Receive(Side.CLIENT, HEADER_BYTES)
        if request == SSL_REQUEST:
            return b""
        if request != GSS_REQUEST:
            raise ProtocolError(protocol=NAME, reason=f"the client did not request TLS, but sent {_named(request)}")
        yield Send(Side.CLIENT, NO, binary=True)
    raise ProtocolError(protocol=NAME, reason=f"the client asks for GSSAPI {MAX_REQUESTS} times, and not for TLS")


def _named(request: bytes) -> str:
    length, code = struct.unpack("!II", request)
    if code == CANCEL_CODE:
        return "a request to cancel a query in plaintext"
    if code >> 16 in {2, 3} and length >= HEADER_BYTES:
        return f"a startup packet (protocol {code >> 16}.{code & 0xFFFF})"
    return request.hex(" ")


def _secure() -> Lines:
    yield Connect()
    yield Send(Side.TARGET, SSL_REQUEST, binary=True)
    answer = yield Receive(Side.TARGET, len(YES))
    if answer == NO:
        raise ProtocolError(protocol=NAME, reason="PostgreSQL server rejected TLS: set ssl = on in its configuration")
    if answer != YES:
        raise ProtocolError(protocol=NAME, reason=f"PostgreSQL server rejected TLS: it said {answer.hex()}")
    yield StartTls()
    for _ in range(MAX_REQUESTS):
        request = yield Receive(Side.CLIENT, HEADER_BYTES)
        if request not in {SSL_REQUEST, GSS_REQUEST}:
            # The rest of this message is the relay's.
            yield Send(Side.TARGET, request, binary=True)
            return b""
        yield Send(Side.CLIENT, NO, binary=True)
    raise ProtocolError(protocol=NAME, reason=f"the client asks for encryption {MAX_REQUESTS} times")
