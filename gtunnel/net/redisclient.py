"""The Python client of redis, redis-py: an extra that most do without."""

import importlib
from types import ModuleType


def module() -> ModuleType | None:
    """The client; None where it is not installed. Asked before a chroot, it is loaded afterwards."""
    try:
        return importlib.import_module("redis")
    except ImportError:
        return None
