"""A connection's handshake, and what happens to it after that.

pyOpenSSL's own `do_handshake` raises an exception for every flight that has to be waited for. Its info callback is one
of the whole context, and OpenSSL calls it at each of the two dozen steps of a handshake. Here it is called only for
those connections that something can still happen to, from the end of the first handshake on.
"""

from collections.abc import Callable
from ctypes import c_void_p
from typing import Any, Final

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from gtunnel.tls.openssl import native
from gtunnel.tls.openssl.verify import keep

_do_handshake, _get_error = lib.SSL_do_handshake, lib.SSL_get_error
_WANT_READ: Final = lib.SSL_ERROR_WANT_READ
# Not among the functions that older bindings list: those are linked with a shared OpenSSL.
_set_info_callback = native.function("SSL_set_info_callback", None, c_void_p, c_void_p)

# (connection, SSL_CB_ flags); it must not raise.
Notice = Callable[[SSL.Connection, int], None]


def proceed(connection: SSL.Connection) -> bool:
    """Go on with a handshake; True when it is finished, False when it needs input. Raises `SSL.Error`."""
    raw = connection._ssl
    result = _do_handshake(raw)
    if result == 1:
        return True
    if _get_error(raw, result) == _WANT_READ:
        return False
    # What a callback has raised, or what is in the error queue.
    connection._raise_ssl_error(raw, result)
    raise AssertionError("pyOpenSSL has raised")


def watch_later(context: SSL.Context, notice: Notice) -> None:
    """Have `notice` called for what OpenSSL does with a context's connections (SSL_CTX_set_info_callback(3)) after
    `established` was called for them."""

    def inform(raw: object, where: int, _result: int) -> None:
        connection = SSL.Connection._reverse_mapping.get(raw)
        if connection is not None:
            notice(connection, where)

    callback = ffi.callback("void (*)(const SSL *, int, int)", inform)
    keep(context, callback)
    context.__dict__["_gtunnel_info"] = callback


def established(connection: SSL.Connection, context: SSL.Context) -> bool:
    """The first handshake is done. In TLS 1.2 and older another one may follow: True if it will be noticed."""
    callback: Any = context.__dict__.get("_gtunnel_info")
    if callback is None or connection.get_protocol_version() >= SSL.TLS1_3_VERSION:
        return False
    if _set_info_callback is None:
        lib.SSL_set_info_callback(connection._ssl, callback)
    else:
        _set_info_callback(native.pointer(connection._ssl), native.pointer(callback))
    return True
