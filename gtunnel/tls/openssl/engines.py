"""OpenSSL's engines (engine(3ssl)): keys and certificates that a device keeps. Only where OpenSSL is shared.

They belong to the process: what was loaded stays, and workers inherit it.
"""

import ctypes
from ctypes import c_char_p, c_int, c_long, c_void_p
from typing import Final

from OpenSSL import SSL
from OpenSSL._util import exception_from_error_queue, ffi, lib
from OpenSSL.crypto import X509

from gtunnel.tls.openssl import binding, native

AVAILABLE: Final = native.has("ENGINE_by_id")


class _CertificateById(ctypes.Structure):
    """What the command LOAD_CERT_CTRL takes, by a convention of the engines that have it."""

    _fields_ = (("identifier", c_char_p), ("certificate", c_void_p))


class EngineError(Exception):
    """What an engine refuses. The text is OpenSSL's reason."""


class Engine:
    """One engine, found by its id. Raises `EngineError`."""

    def __init__(self, identifier: str) -> None:
        self.identifier = identifier
        self._initialized = False
        handle = native.demand("ENGINE_by_id", c_void_p, c_char_p)(identifier.encode())
        if not handle:
            raise _error()
        self._handle = handle

    def control(self, command: str, parameter: str | None) -> None:
        """Give it a command of its own; INIT starts it, as in stunnel."""
        if command.upper() == "INIT":
            self.initialize()
            return
        function = native.demand("ENGINE_ctrl_cmd_string", c_int, c_void_p, c_char_p, c_char_p, c_int)
        if function(self._handle, command.encode(), None if parameter is None else parameter.encode(), 0) != 1:
            raise _error()

    def become_default(self, tasks: str) -> None:
        """Let it do some tasks for everybody."""
        if native.demand("ENGINE_set_default_string", c_int, c_void_p, c_char_p)(self._handle, tasks.encode()) != 1:
            raise _error()

    def initialize(self) -> None:
        """Start it, once."""
        if not self._initialized:
            if native.demand("ENGINE_init", c_int, c_void_p)(self._handle) != 1:
                raise _error()
            self._initialized = True

    def use_certificate(self, context: SSL.Context, identifier: str) -> None:
        """Present a certificate that it keeps. Raises `SSL.Error`, too."""
        if lib.SSL_CTX_use_certificate(context._context, self.certificate(identifier)._x509) != 1:
            exception_from_error_queue(SSL.Error)

    def certificate(self, identifier: str) -> X509:
        """A certificate that it keeps."""
        wanted = _CertificateById(identifier.encode(), None)
        function = native.demand("ENGINE_ctrl_cmd", c_int, c_void_p, c_char_p, c_long, c_void_p, c_void_p, c_int)
        given = function(self._handle, b"LOAD_CERT_CTRL", 0, ctypes.byref(wanted), None, 0)
        if given != 1 or not wanted.certificate:
            raise _error()
        # The wrapper frees what it wraps.
        return X509._from_raw_x509_ptr(ffi.cast("X509 *", wanted.certificate))

    def use_key(self, context: SSL.Context, identifier: str) -> None:
        """Sign with a private key that it keeps. Raises `SSL.Error`, too: it may belong to another certificate."""
        function = native.demand("ENGINE_load_private_key", c_void_p, c_void_p, c_char_p, c_void_p, c_void_p)
        # Nobody is asked for a PIN: a daemon has no terminal.
        found = function(self._handle, identifier.encode(), None, None)
        if not found:
            raise _error()
        key = ffi.gc(ffi.cast("EVP_PKEY *", found), lib.EVP_PKEY_free)
        if lib.SSL_CTX_use_PrivateKey(context._context, key) != 1:
            exception_from_error_queue(SSL.Error)


def enable_all() -> None:
    """`engine = auto`: whatever OpenSSL brings along does what it can."""
    native.demand("ENGINE_load_builtin_engines", None)()
    native.demand("ENGINE_register_all_complete", c_int)()


def _error() -> EngineError:
    queue = binding.take_errors()
    return EngineError(queue[0] if queue else "the engine does not say why")
