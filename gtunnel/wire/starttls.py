"""What protocols have in common that begin in plaintext and have a command for TLS (SMTP, IMAP, POP3, NNTP).

Server mode: the target, which knows nothing of TLS, is connected first, and its greeting goes to the client. Until the
client asks for TLS we answer it ourselves; the target hears nothing of that.

Client mode: we ask for TLS, and the client hears nothing until it is there: then the server's greeting, as if it had
just been connected. If it does not come to that, it hears so in the protocol's own words. Whatever else a server says
in plaintext ends the connection, for anybody could have put it there (NO STARTTLS, USENIX Security 2021).
"""

import re
from collections.abc import Callable, Generator
from contextlib import suppress

from gtunnel.errors import GtunnelError
from gtunnel.values import dataclass
from gtunnel.wire.errors import LeftError, ProtocolError, RefusalError, quoted
from gtunnel.wire.steps import Connect, Glance, Negotiation, ReceiveLine, Send, Side, StartTls, Step

# IMAP asks servers to take lines of 8000 bytes (RFC 7162, section 4); the others' are shorter.
MAX_LINE = 8192
# What a client may say before it asks for TLS; real ones say two or three things.
MAX_COMMANDS = 100
# A TLS record of a handshake begins so; no command does.
TLS_RECORD = b"\x16"

Lines = Generator[Step, bytes, bytes]
"""Steps that end with what was received."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client's command gets. `starts`: TLS begins behind it. `leaves`: it was the client's last word."""

    reply: bytes
    starts: bool = False
    leaves: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """A protocol's own words, in server mode.

    `greeting` receives the target's greeting, and raises `RefusalError` if it is a refusal; `answer` is what we say to
    a client's command in plaintext, of which `shown` may stand in the log; `goodbye` is what a client hears when there
    is no connection for it.
    """

    name: str
    goodbye: bytes
    greeting: Callable[[], Lines]
    answer: Callable[[bytes], Answer]
    shown: re.Pattern[bytes]


def serve(dialect: Dialect, adapt: Callable[[bytes], bytes] = bytes) -> Negotiation:
    """Server mode. `adapt` makes the greeting for the client of the target's.

    A client that has begun with TLS at once gets it, and the greeting under it (stunnel does so for SMTP and IMAP).
    """
    greeting = yield from telling_client(dialect.goodbye, _receive_greeting(dialect))
    if (yield Glance(Side.CLIENT)).startswith(TLS_RECORD):
        yield StartTls()
        yield Send(Side.CLIENT, greeting)
        return
    yield Send(Side.CLIENT, adapt(greeting))
    yield from telling_client(dialect.goodbye, _answer_until_tls(dialect))
    yield StartTls()


def telling_client(goodbye: bytes, steps: Generator[Step, bytes, bytes | None]) -> Generator[Step, bytes, bytes]:
    """Take steps; if they fail, the client is told with these words, or those of who refused. Only while the client's
    side is in plaintext, or TLS is on it for good."""
    try:
        return (yield from steps) or b""
    except GtunnelError as error:
        words = error.words if isinstance(error, RefusalError) else goodbye
        with suppress(GtunnelError):
            if words:
                yield Send(Side.CLIENT, words, binary=not words.endswith(b"\n"), farewell=True)
        raise


def receive_line(name: str, expected: bytes, what: str) -> Lines:
    """The target's line, if it begins so; another one is a refusal."""
    line = yield ReceiveLine(Side.TARGET, MAX_LINE)
    if not line.upper().startswith(expected):
        raise ProtocolError(protocol=name, reason=f"{what}: the server said {quoted(line)}")
    return line


def _receive_greeting(dialect: Dialect) -> Lines:
    yield Connect()
    return (yield from dialect.greeting())


def _answer_until_tls(dialect: Dialect) -> Lines:
    for _ in range(MAX_COMMANDS):
        answer = dialect.answer((yield ReceiveLine(Side.CLIENT, MAX_LINE, shown=dialect.shown)))
        yield Send(Side.CLIENT, answer.reply, farewell=answer.leaves)
        if answer.starts:
            return b""
        if answer.leaves:
            raise LeftError(b"", protocol=dialect.name, reason="the client left without asking for TLS")
    raise ProtocolError(protocol=dialect.name, reason=f"{MAX_COMMANDS} commands of the client, and none is for TLS")
