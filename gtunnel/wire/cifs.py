"""TLS in the session service of NetBIOS (RFC 1002, section 4.3), as Samba before 3.0 had it."""

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import ProtocolError, RefusalError
from gtunnel.wire.starttls import Lines, telling_client
from gtunnel.wire.steps import Connect, Negotiation, Receive, Scene, Send, Side, StartTls

NAME = "cifs"
HEADER_BYTES = 4
# The two names of a session request are 34 bytes each, and some have more.
MAX_REQUEST = 124
SESSION_REQUEST = 0x81
EMPTY_REQUEST = b"\x81\0\0\0"
NEGATIVE_RESPONSE = b"\x83\0\0\x01"
USE_TLS = b"\x8e"
REFUSED = b"\x81"


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: who asks for a session is told that TLS is needed."""
    yield from telling_client(NEGATIVE_RESPONSE + REFUSED, _receive_request())
    yield Send(Side.CLIENT, NEGATIVE_RESPONSE + USE_TLS, binary=True)
    yield StartTls()
    yield Connect()


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the server has to want TLS."""
    yield Connect()
    yield Send(Side.TARGET, EMPTY_REQUEST, binary=True)
    response = yield Receive(Side.TARGET, len(NEGATIVE_RESPONSE + USE_TLS))
    if response != NEGATIVE_RESPONSE + USE_TLS:
        raise ProtocolError(protocol=NAME, reason=f"the server does not ask for TLS: it said {response.hex(' ')}")
    yield StartTls()


def _receive_request() -> Lines:
    header = yield Receive(Side.CLIENT, HEADER_BYTES)
    if header[0] != SESSION_REQUEST:
        raise ProtocolError(protocol=NAME, reason=f"the client asks for no session: it said {header.hex(' ')}")
    # The length's 17th bit is a flag.
    length = int.from_bytes(header[1:]) & 0x1FFFF
    if length > MAX_REQUEST:
        raise RefusalError(b"", protocol=NAME, reason=f"the client's request of {length} bytes is too long")
    if length:
        yield Receive(Side.CLIENT, length)
    return b""
