"""SMTP's STARTTLS (RFC 3207), for servers that have none, and for clients that have none."""

from collections.abc import Generator

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import ProtocolError
from gtunnel.wire.steps import Connect, Negotiation, ReceiveLine, Scene, Send, Side, StartTls, Step

# RFC 5321 allows a reply of any number of lines; a server that does not stop is no server.
MAX_REPLY_LINES = 100
# What a client may say before STARTTLS.
MAX_COMMANDS = 100

Reply = Generator[Step, bytes, bytes]


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: the target's greeting goes to the client, which has to say EHLO and STARTTLS."""
    yield Connect()
    yield from _relay_reply(b"220")
    for _ in range(MAX_COMMANDS):
        command = yield ReceiveLine(Side.CLIENT)
        verb = command.split(b" ", 1)[0].upper()
        if verb == b"STARTTLS":
            yield Send(Side.CLIENT, b"220 Go ahead\r\n")
            yield StartTls()
            return
        if verb == b"EHLO":
            yield Send(Side.CLIENT, b"250-gtunnel\r\n250 STARTTLS\r\n")
        elif verb in (b"HELO", b"NOOP", b"RSET"):
            yield Send(Side.CLIENT, b"250 OK\r\n")
        elif verb == b"QUIT":
            yield Send(Side.CLIENT, b"221 Bye\r\n")
            raise ProtocolError(protocol="smtp", reason="the client left without STARTTLS")
        else:
            yield Send(Side.CLIENT, b"530 Must issue a STARTTLS command first\r\n")
    raise ProtocolError(protocol="smtp", reason=f"{MAX_COMMANDS} commands and no STARTTLS")


def client(settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the server's greeting goes to the client, STARTTLS is ours to say."""
    name = (settings.host or "localhost").encode()
    yield Connect()
    yield from _relay_reply(b"220")
    yield Send(Side.TARGET, b"EHLO " + name + b"\r\n")
    yield from _reply(b"250")
    yield Send(Side.TARGET, b"STARTTLS\r\n")
    yield from _reply(b"220")
    yield StartTls()


def _relay_reply(code: bytes) -> Reply:
    reply = yield from _reply(code)
    yield Send(Side.CLIENT, reply)
    return reply


def _reply(code: bytes) -> Reply:
    """The server's reply, all its lines; another code than this one is a refusal."""
    lines: list[bytes] = []
    while len(lines) < MAX_REPLY_LINES:
        line = yield ReceiveLine(Side.TARGET)
        lines.append(line)
        if not line.startswith(code):
            raise ProtocolError(protocol="smtp", reason=f"the server said {line.decode('latin-1')!r}")
        if line[3:4] != b"-":
            return b"".join(line + b"\r\n" for line in lines)
    raise ProtocolError(protocol="smtp", reason=f"a reply of more than {MAX_REPLY_LINES} lines")
