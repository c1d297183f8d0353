"""IMAP's STARTTLS (RFC 3501, section 6.2.1; RFC 2595), for servers that have none, and for clients that have none."""

import re

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import RefusalError, quoted
from gtunnel.wire.starttls import MAX_LINE, Answer, Dialect, Lines, receive_line, serve, telling_client
from gtunnel.wire.steps import Connect, Negotiation, ReceiveLine, Scene, Send, Side, StartTls

NAME = "imap"
GOODBYE = b"* BYE Service not available, try again later\r\n"
TAG = b"GT1"
# What we can do ourselves; what the server can do is for those who ask it under TLS.
CAPABILITIES = b"CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED"

# What can be done without TLS, and what is said of it before the answer.
_DONE = {
    b"CAPABILITY": b"* " + CAPABILITIES + b"\r\n",
    b"LOGOUT": b"* BYE Logging out\r\n",
    b"NOOP": b"",
    b"STARTTLS": b"",
}
_COMMAND = re.compile(rb"([!#$&',\-./0-9:;<=>?@A-Z\[\]^_`a-z|~]{1,64}) ([A-Za-z]{1,32})( .*)?")
_SHOWN = re.compile(rb"[!-~]{1,64} (?:CAPABILITY|NOOP|ID|LOGOUT|STARTTLS|LOGIN|AUTHENTICATE)\b", re.IGNORECASE)
_CAPABILITY_CODE = re.compile(rb"\[CAPABILITY [^\]]*\] ?", re.IGNORECASE)


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: the client has to say STARTTLS; it cannot log in before."""
    yield from serve(Dialect(NAME, GOODBYE, _greeting, _answer, _SHOWN), lambda greeting: _with(greeting, CAPABILITIES))


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the client gets the greeting, without the capabilities that it names in plaintext."""
    yield from telling_client(GOODBYE, _secure())


def _greeting() -> Lines:
    """PREAUTH is refused as well: in that state there is no STARTTLS."""
    line = yield ReceiveLine(Side.TARGET, MAX_LINE)
    if not line.upper().startswith(b"* OK "):
        words = line + b"\r\n" if line.upper().startswith(b"* BYE ") else GOODBYE
        raise RefusalError(words, protocol=NAME, reason=f"it does not greet: the server said {quoted(line)}")
    return line + b"\r\n"


def _with(greeting: bytes, capabilities: bytes = b"") -> bytes:
    """The greeting with other capabilities than its own, or none."""
    code = b"[" + capabilities + b"] " if capabilities else b""
    return b"* OK " + code + _CAPABILITY_CODE.sub(b"", greeting[len(b"* OK ") :], count=1)


def _answer(line: bytes) -> Answer:
    command = _COMMAND.fullmatch(line)
    if command is None:
        return Answer(b"* BAD This is no command\r\n")
    tag, verb, arguments = command[1], command[2].upper(), command[3]
    if arguments and verb in _DONE:
        return Answer(tag + b" BAD " + verb + b" takes no arguments\r\n")
    if verb not in _DONE:
        return Answer(tag + b" NO [PRIVACYREQUIRED] Say STARTTLS first\r\n")
    return Answer(_DONE[verb] + tag + b" OK Done\r\n", starts=verb == b"STARTTLS", leaves=verb == b"LOGOUT")


def _secure() -> Lines:
    yield Connect()
    try:
        greeting = yield from _greeting()
    except RefusalError as error:
        # Said in plaintext: it may not be the server's.
        error.words = GOODBYE
        raise
    yield Send(Side.TARGET, TAG + b" STARTTLS\r\n")
    yield from receive_line(NAME, TAG + b" OK", "it refused STARTTLS")
    yield StartTls()
    yield Send(Side.CLIENT, _with(greeting))
    return b""
