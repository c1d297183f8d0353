"""The keys of connections in NSS' format, as Wireshark takes them (option keylog; draft-ietf-tls-keylogfile).

The file is opened when a context is compiled, as whoever starts the process, and appended to by all workers: a line is
one write, so lines do not mix.
"""

import os
from contextlib import suppress

from OpenSSL import SSL

from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl.verify import keep


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
