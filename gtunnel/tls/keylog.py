"""The keys of connections in NSS' format, as Wireshark takes them (option keylog; draft-ietf-tls-keylogfile).

The file is opened when a context is compiled, as whoever starts the process, and appended to by all workers: a line is
one write, so lines do not mix.
"""

import os
from contextlib import suppress
from typing import Final, Protocol

from OpenSSL import SSL

from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl.verify import keep

# Beside pyOpenSSL's own attributes.
_TAKER: Final = "_gtunnel_secrets"


class Taker(Protocol):
    """Who takes the secrets of one connection."""

    def take(self, line: bytes) -> None:
        """A line, without its end."""


class KeyLog:
    """An open file for keys. Owns its descriptor, which goes with the object."""

    def __init__(self, file: str) -> None:
        """Open or make the file, for its owner only. Raises `TlsSetupError`."""
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(file, flags, 0o600)
        except OSError as error:
            raise TlsSetupError(option="keylog", value=file, reason=error.strerror or error) from error
        owner = os.fstat(self._fd).st_uid
        if owner not in {0, os.geteuid()}:
            # Somebody made it beforehand, and can read what will be in it.
            raise TlsSetupError(option="keylog", value=file, reason=f"it belongs to another user (uid {owner})")

    def write(self, line: bytes) -> None:
        """Append a line. A full disk costs the line, not the connection."""
        with suppress(OSError):
            os.write(self._fd, line + b"\n")

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            os.close(self._fd)


def set_keylog(context: SSL.Context, file: str | None) -> None:
    """Log the keys of a context's connections. Raises `TlsSetupError`."""
    if file is None:
        return
    log = KeyLog(file)
    context.set_keylog_callback(lambda _, line: log.write(line))
    keep(context, log)


def set_secrets(context: SSL.Context, file: str | None) -> None:
    """The same, where connections are to get their own secrets as well (`deliver`): the log may be none."""
    log = None if file is None else KeyLog(file)

    def take(connection: SSL.Connection, line: bytes) -> None:
        if log is not None:
            log.write(line)
        taker = connection.__dict__.get(_TAKER)
        if taker is not None:
            taker.take(line)

    context.set_keylog_callback(take)
    keep(context, log)
    context.__dict__[_TAKER] = take


def tells_secrets(context: SSL.Context) -> bool:
    """Whether connections of a context get their secrets."""
    return _TAKER in context.__dict__


def deliver(connection: SSL.Connection, taker: Taker | None) -> None:
    """Give `taker` what a connection's key log is told from now on, and only that; None ends it."""
    connection.__dict__[_TAKER] = taker
