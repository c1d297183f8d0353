"""What a negotiation fails with."""

from typing import Final

from gtunnel.errors import GtunnelError
from gtunnel.events import Level

# As much of what a peer said as stands in a line of the log.
SHOWN_BYTES: Final = 100


class ProtocolError(GtunnelError):
    """A peer said what the protocol does not allow, or no to what we need. `protocol` is its name as configured."""

    template = "{protocol}: {reason}"


class MessageError(GtunnelError):
    """What a peer sent is no message: too long, or cut short. `side` is who sent it."""

    template = "the {side}'s message: {reason}"


class AuthenticationError(GtunnelError):
    """A client whose name or password is wrong. Which of them is not said."""

    template = "{protocol}: wrong name or password (user {name!r})"


class RefusalError(ProtocolError):
    """A target that says no in words that its client understands: `words` are for it."""

    def __init__(self, words: bytes, **fields: object) -> None:
        self.words = words
        super().__init__(**fields)


class LeftError(RefusalError):
    """A client that said goodbye: no more than that it has come."""

    level = Level.INFO


class PlaintextError(GtunnelError):
    """A server that went on in plaintext behind its last answer: somebody between put it there, or it is broken. Under
    TLS a server does not speak first."""

    template = "Plaintext came where TLS should begin: the server said {count} more byte(s), {words}"


def quoted(line: bytes) -> str:
    """What a peer said, for a line of the log: nothing in it is taken for something else, and it is not long."""
    return ascii(line[:SHOWN_BYTES])[1:] + ("..." if len(line) > SHOWN_BYTES else "")
