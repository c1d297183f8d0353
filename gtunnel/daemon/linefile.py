"""Files that several processes append whole lines to, and that are renamed under them: the log, and the access log."""

import contextlib
import os
from pathlib import Path
from typing import Final

from gtunnel.errors import GtunnelError
from gtunnel.net.errors import errno_text

_MODE: Final = 0o640


class LogFileError(GtunnelError):
    """A file that lines are to go to cannot be opened."""

    template = "Cannot open log file {file}: {reason}"


class LineFile:
    """One of them. Owns its descriptor. A line is one write(2), so those of several processes do not mix."""

    def __init__(self, file: str, *, truncate: bool = False) -> None:
        """Open it, made with mode 0640 where it is not there. Raises `LogFileError`."""
        self._file = file
        self._descriptor = open_file(file, truncate=truncate)
        self._torn = False

    def append(self, line: str) -> None:
        """Write a line, its end included. What cannot be written (a full disk) is lost; never raises."""
        # Where half of the line before is all that there was room for, that is not continued.
        data = ("\n" * self._torn + line + "\n").encode("utf-8", "backslashreplace")
        with contextlib.suppress(OSError):
            self._torn = os.write(self._descriptor, data) < len(data)

    def reopen(self) -> None:
        """Close and open again, after a rotation. Never empties the file: another process may have written to it since.
        Raises `LogFileError` and keeps the old one."""
        descriptor = open_file(self._file, truncate=False)
        # dup2 keeps the number, so nobody can write to a closed one in between.
        os.dup2(descriptor, self._descriptor, inheritable=False)
        os.close(descriptor)

    def give_to(self, user: int, group: int) -> None:
        """Let the user that we become write it after a rotation, too."""
        with contextlib.suppress(OSError):
            if os.fstat(self._descriptor).st_size == 0:
                os.fchown(self._descriptor, user, group)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def open_file(file: str, *, truncate: bool) -> int:
    """A descriptor to append to. Raises `LogFileError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
    if truncate and not Path(file).is_char_device():
        flags |= os.O_TRUNC
    try:
        return os.open(file, flags, _MODE)
    except OSError as error:
        raise LogFileError(file=file, reason=errno_text(error)) from error
