"""LDAP's StartTLS (RFC 4511, section 4.14), for clients that have none: a question, and its answer read strictly."""

from typing import Final

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import ProtocolError, quoted
from gtunnel.wire.starttls import Lines, telling_client
from gtunnel.wire.steps import Connect, Negotiation, Receive, Scene, Send, Side, StartTls

NAME = "ldap"
# A referral may be some URLs long; what is longer is no answer to StartTLS.
MAX_RESPONSE: Final = 8192

SEQUENCE: Final = 0x30
INTEGER: Final = 0x02
ENUMERATED: Final = 0x0A
OCTETS: Final = 0x04
EXTENDED_REQUEST: Final = 0x77
EXTENDED_RESPONSE: Final = 0x78
_REQUEST_NAME: Final = 0x80
_RESPONSE_NAME: Final = 0x8A

START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
DISCONNECTION: Final = b"1.3.6.1.4.1.1466.20036"
# Ours, and the one of messages that nobody asked for (section 4.4).
MESSAGE_ID: Final = 1
UNSOLICITED: Final = 0
UNAVAILABLE: Final = 52
_CODES: Final = {
    1: "operations error",
    2: "protocol error: it has no TLS",
    8: "stronger authentication required",
    10: "referral",
    12: "unavailable critical extension",
    13: "confidentiality required",
    48: "inappropriate authentication",
    50: "insufficient access rights",
    51: "busy",
    52: "unavailable: its TLS is not set up",
    53: "unwilling to perform",
    80: "other",
}


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: we ask, and the client's own messages follow under TLS."""
    yield from telling_client(disconnection(), _secure())


def tlv(tag: int, content: bytes) -> bytes:
    """Tag, length, value (X.690), for lengths as they occur here."""
    length = bytes([len(content)]) if len(content) < 0x80 else b"\x82" + len(content).to_bytes(2)
    return bytes([tag]) + length + content


def request() -> bytes:
    """The extended request StartTLS."""
    operation = tlv(EXTENDED_REQUEST, tlv(_REQUEST_NAME, START_TLS))
    return tlv(SEQUENCE, tlv(INTEGER, bytes([MESSAGE_ID])) + operation)


def disconnection() -> bytes:
    """A notice of disconnection (section 4.4.1), for a client that there is no server for."""
    result = tlv(ENUMERATED, bytes([UNAVAILABLE])) + tlv(OCTETS, b"") + tlv(OCTETS, b"no secure connection")
    operation = tlv(EXTENDED_RESPONSE, result + tlv(_RESPONSE_NAME, DISCONNECTION))
    return tlv(SEQUENCE, tlv(INTEGER, bytes([UNSOLICITED])) + operation)


def judge(content: bytes) -> None:
    """Look at what is in the server's message. Raises `ProtocolError` unless it says that TLS may start."""
    number, rest = _cut(content, INTEGER)
    operation, rest = _cut(rest, EXTENDED_RESPONSE)
    if rest[:1] not in {b"", b"\xa0"}:
        raise _broken("something is behind it")
    code, rest = _cut(operation, ENUMERATED)
    if len(code) != 1 or len(number) != 1:
        raise _broken("a number has no single byte")
    _, rest = _cut(rest, OCTETS)
    text, _ = _cut(rest, OCTETS)
    said = f": {quoted(text)}" if text else ""
    if number[0] == UNSOLICITED:
        raise ProtocolError(protocol=NAME, reason=f"the server ends the connection ({_code(code[0])}){said}")
    if number[0] != MESSAGE_ID:
        raise _broken(f"it is for message {number[0]}")
    if code[0]:
        raise ProtocolError(protocol=NAME, reason=f"the server refused StartTLS ({_code(code[0])}){said}")


def _secure() -> Lines:
    yield Connect()
    yield Send(Side.TARGET, request(), binary=True)
    tag, length = yield Receive(Side.TARGET, 2)
    if tag != SEQUENCE:
        raise _broken(f"it begins with {tag:02x}")
    if length & 0x80:
        more = length & 0x7F
        # OpenLDAP writes four bytes of length whatever it is.
        if not 1 <= more <= 4:
            raise _broken(f"a length of {more} bytes")
        length = int.from_bytes((yield Receive(Side.TARGET, more)))
    if not 0 < length <= MAX_RESPONSE:
        raise _broken(f"a length of {length}")
    judge((yield Receive(Side.TARGET, length)))
    yield StartTls()
    return b""


def _cut(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the element that `data` begins with, and what is behind it."""
    if len(data) < 2 or data[0] != tag:
        raise _broken(f"{data[:1].hex() or 'nothing'} is where {tag:02x} should be")
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        if not 3 <= start <= 6:
            raise _broken("a length that is none")
        length = int.from_bytes(data[2:start])
    if len(data) < start + length:
        raise _broken("it is cut short")
    return data[start : start + length], data[start + length :]


def _code(number: int) -> str:
    name = _CODES.get(number)
    return f"result code {number}" if name is None else f"result code {number}, {name}"


def _broken(reason: str) -> ProtocolError:
    return ProtocolError(protocol=NAME, reason=f"the server's answer to StartTLS makes no sense: {reason}")
