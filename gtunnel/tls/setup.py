"""What all parts of setting a context up have in common: problems are told at once, and with their option's name."""

from collections.abc import Callable
from pathlib import Path

from gtunnel.tls.errors import TlsSetupError, TlsSeveralSetupError


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


def read_file(option: str, file: str) -> bytes:
    """A file that an option names. Raises `TlsSetupError`."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise TlsSetupError(option=option, value=file, reason=error.strerror or error) from error
