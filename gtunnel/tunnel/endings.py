"""How a connection ended: a word to count by, and a reason to read (docs/diagnostics.md lists the words)."""

import errno
from typing import Final

from gtunnel.errors import GtunnelError, ReachError
from gtunnel.net.conversation import UnexpectedCloseError
from gtunnel.net.errors import LoopError, OriginError, SocketError, WaitTimeoutError
from gtunnel.net.opening import SilentClientError
from gtunnel.net.program import ProgramError
from gtunnel.net.wrappers import WrappersError
from gtunnel.tls.errors import HandshakeError, TlsStreamError, TlsTruncatedError
from gtunnel.tunnel.access import HandshakeTimeoutError, RefusedError
from gtunnel.tunnel.revocation import RevokedError
from gtunnel.values import dataclass
from gtunnel.wire.errors import AuthenticationError, LeftError, MessageError, PlaintextError, ProtocolError
from gtunnel.wire.ident import IdentError
from gtunnel.wire.sockswords import RefusedTargetError, RequestError


@dataclass(frozen=True, slots=True)
class Ending:
    """`reason` is empty where the word says it all."""

    word: str
    reason: str = ""


ORDERLY: Final = Ending("closed")
STOPPED: Final = Ending("stopped", "gtunnel ends")
HALF_CLOSED: Final = Ending("timeout", "TIMEOUTclose exceeded")
BUG: Final = Ending("internal", "INTERNAL ERROR: see the log")
# An error that no row is for: whoever adds a class of errors adds one, or takes this.
OTHER: Final = "error"

# The nearest class that an error is of counts.
WORDS: Final[dict[type[BaseException], str]] = {
    AuthenticationError: "refused",
    HandshakeError: "tls",
    HandshakeTimeoutError: "timeout",
    IdentError: "refused",
    LeftError: "closed",
    LoopError: "loop",
    MessageError: "protocol",
    OriginError: "origin",
    PlaintextError: "protocol",
    ProgramError: "program",
    ProtocolError: "protocol",
    ReachError: "connect",
    RefusedError: "refused",
    RefusedTargetError: "refused",
    RequestError: "protocol",
    RevokedError: "tls",
    SilentClientError: "silent",
    TlsStreamError: "tls",
    TlsTruncatedError: "truncated",
    UnexpectedCloseError: "protocol",
    WaitTimeoutError: "timeout",
    WrappersError: "refused",
}
_BY_NUMBER: Final = {
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.ETIMEDOUT: "timeout",
}


def of(error: GtunnelError) -> Ending:
    """What an error comes to."""
    number = error.number if isinstance(error, SocketError) else 0
    word = next((WORDS[kind] for kind in type(error).__mro__ if kind in WORDS), OTHER)
    return Ending(_BY_NUMBER.get(number, word), str(error))
