"""Reading configuration files: bytes out, one error type. Nothing is parsed here."""

import os
from pathlib import Path

# Room for tens of thousands of services; a log or a device named by mistake ends the reading instead of the memory.
MAX_FILE_BYTES = 4 * 1024 * 1024
_CHUNK = 65536


class SourceError(Exception):
    """A file or directory that cannot be read. The text is the reason."""


def read_file(path: str) -> bytes:
    """The content of a file: a regular one, a pipe, a terminal."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise SourceError(reason(error)) from error
    try:
        return read_descriptor(descriptor)
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int) -> bytes:
    """What an open descriptor gives until its end. It stays open: it is the caller's."""
    chunks: list[bytes] = []
    left = MAX_FILE_BYTES + 1
    try:
        while left > 0 and (chunk := os.read(descriptor, min(left, _CHUNK))):
            chunks.append(chunk)
            left -= len(chunk)
    except (OSError, OverflowError) as error:
        raise SourceError(reason(error)) from error
    if left <= 0:
        raise SourceError(f"the file is longer than {MAX_FILE_BYTES} bytes")
    return b"".join(chunks)


def files_in(directory: str) -> list[str]:
    """The paths of a directory's regular files, in the order of their names' bytes.

    As in stunnel, all of them: hidden files and editors' back-up copies, too. Subdirectories are left out.
    """
    try:
        entries = sorted(Path(directory).iterdir(), key=lambda entry: os.fsencode(entry.name))
        return [str(entry) for entry in entries if entry.is_file()]
    except (OSError, ValueError) as error:
        raise SourceError(reason(error)) from error


def identity(directory: str) -> tuple[int, int]:
    """What makes two names of a directory the same directory."""
    try:
        status = Path(directory).stat()
    except (OSError, ValueError) as error:
        raise SourceError(reason(error)) from error
    return status.st_dev, status.st_ino


def reason(error: Exception) -> str:
    """The kernel's own words, without the path (the message has it)."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
