"""What all parts of setting a context up have in common: problems are told at once, and with their option's name."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gtunnel.tls.errors import TlsSetupError, TlsSeveralSetupError
from gtunnel.tls.site import Site

# A bundle of all CAs of the world has some hundred KiB; what is larger than this is no such file.
MAX_FILE_BYTES: Final = 64 << 20


def take_all(*steps: Callable[[], None]) -> None:
    """Take all steps, also after one that failed. Raises `TlsSetupError` with the problems of all."""
    errors: list[TlsSetupError] = []
    for step in steps:
        try:
            step()
        except TlsSetupError as error:
            errors.append(error)
    try:
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise TlsSeveralSetupError(tuple(problem for error in errors for problem in error.problems))
    finally:
        # An error refers to this frame, and the frame must not refer to it: in a circle both would keep all callers'
        # variables, descriptors of other services among them, until the garbage is collected.
        errors.clear()


def read_file(option: str, file: str, site: Site | None = None) -> bytes:
    """A file that an option names. Raises `TlsSetupError`, also for what is no file: a pipe might never end."""
    try:
        # Without O_NONBLOCK, opening a named pipe waits for somebody who writes into it.
        with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                reason = "Is a directory" if Path(file).is_dir() else "Not a regular file"
                raise TlsSetupError(option=option, value=file, reason=reason)
            content = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise unreadable(option, file, error, site or Site()) from error
    if len(content) > MAX_FILE_BYTES:
        raise TlsSetupError(option=option, value=file, reason=f"larger than {MAX_FILE_BYTES >> 20} MiB")
    return content


def check_directory(option: str, directory: str, site: Site) -> None:
    """See that a directory is there where it will be looked into while connections are served.

    OpenSSL looks into it when something is asked for, and then says nothing of a directory that is none. Raises
    `TlsSetupError`.
    """
    try:
        is_directory = stat.S_ISDIR(site.later(directory).stat().st_mode)
    except OSError as error:
        raise unreadable(option, directory, error, site.inside) from error
    if not is_directory:
        raise TlsSetupError(option=option, value=directory, reason="Not a directory")


def unreadable(option: str, file: str, error: OSError, site: Site) -> TlsSetupError:
    """What to say of a file that the kernel does not give us."""
    hint = site.hint if isinstance(error, FileNotFoundError | NotADirectoryError) else ""
    return TlsSetupError(option=option, value=file, reason=f"{error.strerror or error}{hint}")
