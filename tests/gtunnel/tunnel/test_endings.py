"""How a connection ended, in a word: every class of errors has one."""

import errno
import importlib
import pkgutil

import pytest

import gtunnel
from gtunnel.errors import GtunnelError
from gtunnel.net.errors import LoopError, NoTargetError, OriginError, SocketError, WaitTimeoutError
from gtunnel.tls.errors import TlsTruncatedError
from gtunnel.tunnel import endings
from gtunnel.wire.errors import LeftError

# Errors of a start, of a command, or of something that is tried again: no connection ends with them.
ELSEWHERE = {
    *("AddressError", "UsageError", "ServiceError", "ServiceSettingsError", "TlsSetupError", "TlsSeveralSetupError"),
    *("OpensslUnfitError", "LibraryError", "BundleError", "LockedError", "InconclusiveError", "ListenError"),
}
CONNECTIONS_OWN = {"SocketError": "by its number", "LateRedirectError": "nobody's fault that a word could say"}


def errors() -> list[type[GtunnelError]]:
    """All that the floors below the daemon raise."""
    for floor in ("errors", "wire", "tls", "net", "tunnel"):
        package = importlib.import_module(f"gtunnel.{floor}")
        for module in pkgutil.walk_packages(getattr(package, "__path__", []), f"{package.__name__}."):
            importlib.import_module(module.name)
    found: list[type[GtunnelError]] = []
    left = [GtunnelError]
    while left:
        kinds = left.pop().__subclasses__()
        found += kinds
        left += kinds
    floors = tuple(f"{gtunnel.__name__}.{floor}" for floor in ("errors", "wire", "tls", "net", "tunnel"))
    return [kind for kind in found if kind.__module__.startswith(floors)]


@pytest.mark.parametrize("kind", errors(), ids=lambda kind: kind.__name__)
def test_every_error_that_ends_a_connection_has_a_word(kind: type[GtunnelError]) -> None:
    known = any(one in endings.WORDS for one in kind.__mro__)
    assert known or kind.__name__ in ELSEWHERE | CONNECTIONS_OWN.keys()


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (SocketError.of("readsocket", OSError(errno.ECONNRESET, "x")), "reset"),
        (SocketError.of("writesocket", OSError(errno.EPIPE, "x")), "reset"),
        (SocketError.of("readsocket", OSError(errno.ETIMEDOUT, "x")), "timeout"),
        (SocketError.of("readsocket", OSError(errno.ENOMEM, "x")), "error"),
        (WaitTimeoutError(waiting="transfer", option="TIMEOUTidle", consequence="sending reset"), "timeout"),
        (TlsTruncatedError(function="SSL_read"), "truncated"),
        (NoTargetError(), "connect"),
        (LoopError(reason="x"), "loop"),
        (OriginError(reason="x"), "origin"),
        (LeftError(b"", protocol="smtp", reason="x"), "closed"),
    ],
)
def test_the_nearest_class_says_which(error: GtunnelError, word: str) -> None:
    assert endings.of(error) == endings.Ending(word, str(error))
