"""POP3's STLS (RFC 2595, section 4), for servers that have none, and for clients that have none."""

import re

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import RefusalError, quoted
from gtunnel.wire.starttls import MAX_LINE, Answer, Dialect, Lines, receive_line, serve, telling_client
from gtunnel.wire.steps import Connect, Negotiation, ReceiveLine, Scene, Send, Side, StartTls

NAME = "pop3"
# RFC 3206: the client should not take it for a wrong password.
GOODBYE = b"-ERR [SYS/TEMP] Service not available, try again later\r\n"

_SHOWN = re.compile(rb"(?:CAPA|STLS|QUIT|NOOP|USER|PASS|APOP|AUTH)\b", re.IGNORECASE)


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: the client has to say STLS; it cannot log in before."""
    yield from serve(Dialect(NAME, GOODBYE, _greeting, _answer, _SHOWN))


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the client gets the greeting, whose timestamp APOP needs, once TLS is there."""
    yield from telling_client(GOODBYE, _secure())


def _greeting() -> Lines:
    line = yield ReceiveLine(Side.TARGET, MAX_LINE)
    if not line.upper().startswith(b"+OK"):
        words = line + b"\r\n" if line.upper().startswith(b"-ERR") else GOODBYE
        raise RefusalError(words, protocol=NAME, reason=f"it does not greet: the server said {quoted(line)}")
    return line + b"\r\n"


def _answer(line: bytes) -> Answer:
    verb = line.strip().upper()
    if verb == b"STLS":
        return Answer(b"+OK Begin TLS negotiation now\r\n", starts=True)
    if verb == b"CAPA":
        return Answer(b"+OK Capability list follows\r\nSTLS\r\n.\r\n")
    if verb == b"QUIT":
        return Answer(b"+OK Bye\r\n", leaves=True)
    return Answer(b"-ERR Say STLS first\r\n")


def _secure() -> Lines:
    yield Connect()
    try:
        greeting = yield from _greeting()
    except RefusalError as error:
        # Said in plaintext: it may not be the server's.
        error.words = GOODBYE
        raise
    yield Send(Side.TARGET, b"STLS\r\n")
    yield from receive_line(NAME, b"+OK", "it refused STLS")
    yield StartTls()
    yield Send(Side.CLIENT, greeting)
    return b""
