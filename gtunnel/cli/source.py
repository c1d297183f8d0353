"""Which configuration a command means, and reading it."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from gtunnel.conf.load import load_fd, load_file
from gtunnel.conf.settings import Configuration
from gtunnel.errors import UsageError
from gtunnel.values import dataclass

# Ours first, so that an administrator can move over one machine at a time; the manual's (Debian's) else.
DEFAULT_FILES = ("/etc/gtunnel/gtunnel.conf", "/etc/stunnel/stunnel.conf")

_FIRST_KEPT = 3


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration to read, now or again on reload. `name` is for people: "file /etc/…" or "descriptor 3"; `path` is
    the file's, absolute."""

    name: str
    load: Callable[[], Configuration]
    path: str | None = None


def from_file(file: str | None) -> Source:
    """A file, or the default one. Raises `UsageError` where there is none."""
    if file is None:
        file = next((name for name in DEFAULT_FILES if _is_there(name)), None)
        if file is None:
            raise UsageError(detail=f"no configuration: give a FILE, or make {DEFAULT_FILES[0]}")
    # Absolute, so that a reload finds it wherever the process is then.
    path = str(Path(file).resolve())
    return Source(f"file {path}", lambda: load_file(path), path)


def _is_there(file: str) -> bool:
    """Whether a file is there, or may be: in a directory that we may not look into, who runs it has one."""
    try:
        return Path(file).is_file()
    except PermissionError:
        return True


def from_descriptor(text: str) -> Source:
    """`-fd N` (manual, OPTIONS). On reload it is read again from the start, if it can be. Raises `UsageError`."""
    if not (text.isascii() and text.isdigit()):
        raise UsageError(detail=f"-fd {text}: not the number of a file descriptor")
    try:
        # Kept away from 0, 1 and 2, which the daemon lets go of.
        kept = fcntl.fcntl(int(text), fcntl.F_DUPFD_CLOEXEC, _FIRST_KEPT)
    except (OSError, OverflowError, ValueError) as error:
        raise UsageError(detail=f"-fd {text}: {os.strerror(errno.EBADF)}") from error

    name = f"descriptor {int(text)}"

    def load() -> Configuration:
        with contextlib.suppress(OSError):  # a pipe: it is empty the second time, and that is an error of its own
            os.lseek(kept, 0, os.SEEK_SET)
        return load_fd(kept, name)

    return Source(name, load)
