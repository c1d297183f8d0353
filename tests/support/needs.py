"""What a test needs of the machine. `make test` installs it for root, so its absence is a failure there and in CI."""

import os
import shutil

import pytest

# Daemons are here on Debian, and ordinary users have no such directory in their PATH.
_MORE = "/usr/sbin:/sbin:/usr/local/sbin:/usr/lib/cyrus/bin"


def is_root() -> bool:
    """Whether network namespaces and other users' ids can be had."""
    return os.geteuid() == 0


def program(name: str) -> str:
    """The path of a program. Without it: skips for an ordinary user, fails for root and in CI."""
    found = shutil.which(name) or shutil.which(name, path=_MORE)
    if found is None:
        message = f"{name} is not installed"
        if is_root() or os.environ.get("CI"):
            pytest.fail(f"{message}: tools/install-packages run test")
        pytest.skip(message)
    return found
