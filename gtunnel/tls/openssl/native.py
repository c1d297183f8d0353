"""OpenSSL's functions that no binding lists, called through ctypes where that is possible.

Debian's python3-cryptography is linked with the system's libssl.so.3: what the dynamic linker finds through the file of
its bindings is the very library that pyOpenSSL works with, so pyOpenSSL's pointers are good there. PyPI's wheels
contain OpenSSL statically and export nothing of it: then `SHARED` is False and every `function` is None, and whoever
needs one says so (see `features`).
"""

import ctypes
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from OpenSSL._util import ffi

# What tells that OpenSSL's symbols can be reached at all: any function that both OpenSSL 3 and 4 have.
_ANY_FUNCTION: Final = "SSL_CTX_set_ciphersuites"

Function = Callable[..., Any]


def function(name: str, result: Any, *arguments: Any) -> Function | None:
    """An OpenSSL function by its name, with ctypes' types; None where this build does not have it, or hides it.

    `result` is None for a function that returns nothing. Pointers are `c_void_p`, made by `pointer` from pyOpenSSL's.
    """
    if _LIBRARY is None:
        return None
    try:
        found = getattr(_LIBRARY, name)
    except AttributeError:
        return None
    # The library's own function object is shared by all who ask; a prototype of its own is not.
    prototype = ctypes.CFUNCTYPE(result, *arguments)
    return prototype(ctypes.cast(found, ctypes.c_void_p).value or 0)


def has(name: str) -> bool:
    """Whether an OpenSSL function can be called by its name."""
    return _LIBRARY is not None and hasattr(_LIBRARY, name)


def demand(name: str, result: Any, *arguments: Any) -> Function:
    """The same, for those who have seen that it can be had (`SHARED`, for a function that every OpenSSL 3 has)."""
    found = function(name, result, *arguments)
    if found is None:
        raise NotImplementedError(f"{name} cannot be called on this build of OpenSSL")
    return found


def pointer(value: object) -> int:
    """A pointer of the bindings (`SSL_CTX *`, `SSL *`, …) as ctypes takes it."""
    return int(ffi.cast("uintptr_t", value))


def _library() -> ctypes.CDLL | None:
    library = ctypes.CDLL(str(_bindings().__file__))
    return library if hasattr(library, _ANY_FUNCTION) else None


def _bindings() -> ModuleType:
    try:
        # cryptography before 40.
        return importlib.import_module("cryptography.hazmat.bindings._openssl")
    except ImportError:
        return importlib.import_module("cryptography.hazmat.bindings._rust")


_LIBRARY: Final = _library()
# Whether OpenSSL is a shared library, all of whose functions can be called.
SHARED: Final = _LIBRARY is not None
