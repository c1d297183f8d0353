"""SMTP's STARTTLS (RFC 3207), for servers that have none, and for clients that have none."""

import base64
import re
from functools import partial

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import ProtocolError, RefusalError, quoted
from gtunnel.wire.starttls import MAX_LINE, Answer, Dialect, Lines, serve, telling_client
from gtunnel.wire.steps import Connect, Negotiation, ReceiveLine, Scene, Send, Side, StartTls

NAME = "smtp"
# RFC 5321 allows a reply of any number of lines; a server that does not stop is no server.
MAX_REPLY_LINES = 100
# RFC 4954, section 4: a command line is no longer, with its end; a longer first response goes on a line of its own.
MAX_COMMAND = 512
GOODBYE = b"421 4.3.0 Service not available, try again later\r\n"

# Stands for the host's name.
_OURS = b"<HOST>"
_REPLIES = {
    b"EHLO": b"250-" + _OURS + b"\r\n250 STARTTLS\r\n",
    b"HELO": b"250 " + _OURS + b"\r\n",
    b"NOOP": b"250 2.0.0 OK\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
    b"RSET": b"250 2.0.0 OK\r\n",
    b"STARTTLS": b"220 2.0.0 Ready to start TLS\r\n",
}
# Not what follows AUTH, on the same line or on the next ones.
_SHOWN = re.compile(
    rb"(?:EHLO|HELO|MAIL|RCPT|STARTTLS|NOOP|RSET|QUIT)\b.*|(?:AUTH [A-Z0-9_-]{1,20}|DATA|VRFY)\b", re.IGNORECASE
)
_HOST = re.compile(rb"220[ -]([0-9A-Za-z.:\[\]-]{1,255})(?: |$)")


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: the client has to say EHLO and STARTTLS."""
    host = [b"localhost"]

    def greeting() -> Lines:
        reply = yield from receive_reply(b"220", "it does not greet")
        if (named := _HOST.match(reply.split(b"\r\n", 1)[0])) is not None:
            host[0] = named[1]
        return reply

    yield from serve(Dialect(NAME, GOODBYE, greeting, lambda line: _answer(host[0], line), _SHOWN))


def client(settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: EHLO, STARTTLS, and under TLS authentication, if there is a name and a password."""
    yield from telling_client(GOODBYE, _secure(settings))


def receive_reply(code: bytes, what: str) -> Lines:
    """The server's reply, all its lines; one with another code is a refusal. Raises `RefusalError`."""
    lines: list[bytes] = []
    while len(lines) < MAX_REPLY_LINES:
        lines.append((yield ReceiveLine(Side.TARGET, MAX_LINE)))
        if re.match(rb"[2-5][0-9][0-9](?:[ -]|$)", lines[-1]) is None or lines[-1][:3] != lines[0][:3]:
            raise ProtocolError(protocol=NAME, reason=f"{what}: the server said {quoted(lines[-1])}")
        if lines[-1][3:4] != b"-":
            reply = b"".join(line + b"\r\n" for line in lines)
            if not reply.startswith(code):
                raise RefusalError(reply, protocol=NAME, reason=f"{what}: the server said {quoted(lines[0])}")
            return reply
    raise ProtocolError(protocol=NAME, reason=f"{what}: a reply of more than {MAX_REPLY_LINES} lines")


def _answer(host: bytes, line: bytes) -> Answer:
    """What a client in plaintext is told (RFC 3207, section 4)."""
    verb = line.split(b" ", 1)[0].upper()
    if verb == b"STARTTLS" and line.strip().upper() != verb:
        return Answer(b"501 5.5.4 STARTTLS takes no parameters\r\n")
    reply = _REPLIES.get(verb, b"530 5.7.0 Must issue a STARTTLS command first\r\n")
    return Answer(reply.replace(_OURS, host, 1), starts=verb == b"STARTTLS", leaves=verb == b"QUIT")


def _secure(settings: ProtocolSettings) -> Lines:
    name = (settings.host or "localhost").encode()
    yield Connect()
    try:
        greeting = yield from receive_reply(b"220", "it does not greet")
        yield Send(Side.TARGET, b"EHLO " + name + b"\r\n")
        yield from receive_reply(b"250", "it refused EHLO")
        yield Send(Side.TARGET, b"STARTTLS\r\n")
        yield from receive_reply(b"220", "it refused STARTTLS")
    except RefusalError as error:
        # Said in plaintext: it may not be the server's, and the client must not take a mail for undeliverable by it.
        raise ProtocolError(**error.fields) from error
    yield StartTls()
    if settings.username is not None and settings.password is not None:
        yield Send(Side.TARGET, b"EHLO " + name + b"\r\n")
        yield from receive_reply(b"250", "it refused EHLO under TLS")
        authenticate = _login if settings.authentication == "login" else _plain
        yield from authenticate(settings.username.encode(), settings.password.encode())
    yield Send(Side.CLIENT, greeting)
    return b""


def _plain(username: bytes, password: bytes) -> Lines:
    """RFC 4616."""
    say = partial(Send, Side.TARGET, secret=True)
    response = base64.b64encode(b"\0" + username + b"\0" + password)
    line = b"AUTH PLAIN " + response + b"\r\n"
    if len(line) <= MAX_COMMAND:
        yield say(line)
    else:
        yield say(b"AUTH PLAIN\r\n")
        yield from receive_reply(b"334", "it does not know AUTH PLAIN")
        yield say(response + b"\r\n")
    return (yield from receive_reply(b"235", "PLAIN authentication failed"))


def _login(username: bytes, password: bytes) -> Lines:
    """Nowhere specified, but widespread: the server asks for the name, then for the password."""
    yield Send(Side.TARGET, b"AUTH LOGIN\r\n")
    for word in (username, password):
        yield from receive_reply(b"334", "LOGIN authentication failed")
        yield Send(Side.TARGET, base64.b64encode(word) + b"\r\n", secret=True)
    return (yield from receive_reply(b"235", "LOGIN authentication failed"))
