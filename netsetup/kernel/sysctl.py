"""Sysctls of this process's network namespace, by their path below /proc/sys."""

from pathlib import Path

from netsetup.errors import SysctlError

_ROOT = Path("/proc/sys")


def read(path: str) -> str | None:
    """The value; None where there is no such sysctl (its interface is gone, for example)."""
    try:
        return (_ROOT / path).read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SysctlError(name=path.replace("/", "."), reason=error.strerror or str(error)) from error


def write(path: str, value: str) -> None:
    """Set it. Raises SysctlError."""
    try:
        # Never created: a path that does not exist means that there is no such interface.
        with (_ROOT / path).open("r+") as file:
            file.write(value)
    except FileNotFoundError as error:
        raise SysctlError(name=path.replace("/", "."), reason="there is none; does the interface exist?") from error
    except OSError as error:
        raise SysctlError(name=path.replace("/", "."), reason=error.strerror or str(error)) from error
