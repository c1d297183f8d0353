"""The pid file (manual, option pid)."""

import contextlib
import os
from pathlib import Path

from gtunnel.daemon.privileges import Identity
from gtunnel.errors import GtunnelError
from gtunnel.net.errors import errno_text


class PidFileError(GtunnelError):
    """The pid file cannot be written."""

    template = "Cannot create pid file {file}: {reason}"


class PidFile:
    """A file with this process's id, while it runs."""

    def __init__(self, file: str, owner: Identity) -> None:
        """Write it, and give it to the user that we become. Raises `PidFileError`."""
        self._file = Path(file)
        try:
            # A link that somebody left in a writable directory must not be written through.
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._file, flags, 0o644)
        except OSError as error:
            raise PidFileError(file=file, reason=errno_text(error)) from error
        try:
            os.write(descriptor, f"{os.getpid()}\n".encode())
            if owner.user is not None:
                os.fchown(descriptor, *owner.for_chown)
        except OSError as error:
            raise PidFileError(file=file, reason=errno_text(error)) from error
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Remove it, if it is still ours; where the directory does not let us (after setuid), empty it."""
        if not self._is_ours():
            return
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            with contextlib.suppress(OSError):
                self._file.write_text("")

    def _is_ours(self) -> bool:
        """Whether nobody has written it since: another instance that was given the same file."""
        try:
            return self._file.read_text().strip() == str(os.getpid())
        except (OSError, ValueError):
            return False
