"""OpenSSL's own configuration commands (SSL_CONF_cmd(3ssl)), where its functions can be called."""

from ctypes import c_char_p, c_int, c_uint, c_void_p
from typing import Final

from OpenSSL import SSL

from gtunnel.tls.openssl import binding, native

# ssl.h: as in a configuration file, certificates included, with OpenSSL's reasons in its error queue.
_FLAG_FILE: Final = 0x2
_FLAG_CLIENT: Final = 0x4
_FLAG_SERVER: Final = 0x8
_FLAG_SHOW_ERRORS: Final = 0x10
_FLAG_CERTIFICATE: Final = 0x20
_UNKNOWN: Final = -2
_NO_PARAMETER: Final = -3


class Conversation:
    """One context being configured by commands. Use it as a context manager. Only where `native.SHARED`."""

    def __init__(self, context: SSL.Context, *, client: bool) -> None:
        self._context = context
        self._flags = _FLAG_FILE | _FLAG_SHOW_ERRORS | _FLAG_CERTIFICATE | (_FLAG_CLIENT if client else _FLAG_SERVER)
        self._new = native.demand("SSL_CONF_CTX_new", c_void_p)
        self._free = native.demand("SSL_CONF_CTX_free", None, c_void_p)
        self._set_flags = native.demand("SSL_CONF_CTX_set_flags", c_uint, c_void_p, c_uint)
        self._set_context = native.demand("SSL_CONF_CTX_set_ssl_ctx", None, c_void_p, c_void_p)
        self._command = native.demand("SSL_CONF_cmd", c_int, c_void_p, c_char_p, c_char_p)
        self._finish = native.demand("SSL_CONF_CTX_finish", c_int, c_void_p)

    def __enter__(self) -> "Conversation":
        self._handle = self._new()
        self._set_flags(self._handle, self._flags)
        self._set_context(self._handle, native.pointer(self._context._context))
        return self

    def __exit__(self, *_: object) -> None:
        self._free(self._handle)

    def say(self, command: str, parameter: str | None) -> str | None:
        """Give a command. Returns why it is refused, None if it is not."""
        given = None if parameter is None else parameter.encode()
        return self._reason(self._command(self._handle, command.encode(), given))

    def finish(self) -> str | None:
        """What has to be done when all commands are given (SSL_CONF_CTX_finish). Returns why it failed, or None."""
        return self._reason(self._finish(self._handle))

    def _reason(self, result: int) -> str | None:
        if result > 0:
            return None
        queue = binding.take_errors()
        if result == _UNKNOWN:
            return "OpenSSL has no such command"
        if result == _NO_PARAMETER:
            return "it needs a parameter"
        # The last entry is only that the command failed.
        return queue[0] if queue else "OpenSSL does not take it"
