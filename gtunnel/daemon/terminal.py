"""Asking whoever starts us, on the terminal: as stunnel does, and as OpenSSL's own prompts look."""

import getpass
import os
import sys
from typing import Final

from gtunnel.tls.passphrases import LockedError

# As much as OpenSSL takes (PEM_BUFSIZE).
MAX_PASSPHRASE: Final = 1024

_NOBODY: Final = "its passphrase is asked for at start, on a terminal or from standard input, and neither is there"


def ask(prompt: str) -> bytes:
    """A passphrase from the terminal, or a line of standard input where there is none. Raises `LockedError`."""
    try:
        # The terminal itself, wherever standard input and error lead to; it is not shown.
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return _from_standard_input(prompt)
    try:
        return getpass.getpass(prompt).encode(errors="surrogateescape")
    except (EOFError, OSError) as error:
        raise LockedError(reason=_NOBODY) from error


def _from_standard_input(prompt: str) -> bytes:
    """As with stunnel: `gtunnel FILE < PASSPHRASE` works without a terminal."""
    sys.stderr.write(f"{prompt}\n")
    sys.stderr.flush()
    line = bytearray()
    try:
        # Byte by byte: what comes after the line is not ours.
        while len(line) <= MAX_PASSPHRASE and (byte := os.read(0, 1)) not in (b"", b"\n"):
            line += byte
    except OSError as error:
        raise LockedError(reason=_NOBODY) from error
    if not line:
        raise LockedError(reason=_NOBODY)
    return bytes(line)
