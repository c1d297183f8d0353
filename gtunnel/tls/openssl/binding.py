"""Contexts and certificates: what pyOpenSSL has no public name for.

Everything here exists both in PyPI's wheels (OpenSSL linked statically: only what the bindings list) and in Debian's
packages; what does not is reported as absent instead of failing at import.
"""

import ipaddress
import os
from ctypes import c_char_p, c_int, c_long, c_void_p
from functools import cache
from typing import Final

from OpenSSL import SSL
from OpenSSL._util import exception_from_error_queue, ffi, lib
from OpenSSL.crypto import X509

from gtunnel.tls.openssl import native, options

# x509_vfy.h. Not in the bindings' list; the value is part of OpenSSL's ABI.
_NO_CHECK_TIME = 0x200000
# err.h, ERR_SYSTEM_FLAG: the rest of the number is an errno.
_SYSTEM_ERROR: Final = 0x80000000
# err.h: ERR_LIB_SSL, ERR_LIB_OFFSET; ssl.h: SSL_AD_REASON_OFFSET.
_SSL_LIBRARY: Final = 20
_LIBRARY_SHIFT: Final = 23
_ALERT_REASONS: Final = 1000
# ssl.h: SSL_CTX_set1_groups_list is a macro around SSL_CTX_ctrl with this.
_CTRL_SET_GROUPS_LIST: Final = 92


def has_option(connection: SSL.Connection, name: str) -> bool:
    """Whether an `SSL_OP_` option is set (SSL_get_options); False for one that this build has not got."""
    return bool(lib.SSL_get_options(connection._ssl) & options.numbers().get(name, 0))


def can_set_groups() -> bool:
    """Whether groups can be chosen at all: bound since cryptography 47, and reachable in a shared OpenSSL."""
    return native.SHARED or hasattr(lib, "SSL_CTX_set1_curves_list")


def context_has_option(context: SSL.Context, name: str) -> bool:
    """Whether an `SSL_OP_` option is set for all of a context's connections (SSL_CTX_get_options)."""
    return bool(options.get(context) & options.numbers().get(name, 0))


def set_groups(context: SSL.Context, groups: str) -> bool:
    """Set the key exchange groups (SSL_CTX_set1_groups_list); False if OpenSSL does not take the list."""
    if hasattr(lib, "SSL_CTX_set1_curves_list"):
        taken = bool(lib.SSL_CTX_set1_curves_list(context._context, groups.encode()) == 1)
    else:
        # can_set_groups has been asked at start.
        control = native.demand("SSL_CTX_ctrl", c_long, c_void_p, c_int, c_long, c_char_p)
        taken = control(native.pointer(context._context), _CTRL_SET_GROUPS_LIST, 0, groups.encode()) == 1
    if not taken:
        clear_errors()
    return taken


def set_own_groups(connection: SSL.Connection, groups: str) -> bool:
    """The same for one connection (SSL_set1_groups_list); False also where this cannot be called."""
    if not hasattr(lib, "SSL_set1_curves_list"):
        return False
    taken = bool(lib.SSL_set1_curves_list(connection._ssl, groups.encode()) == 1)
    if not taken:
        clear_errors()
    return taken


def set_ciphersuites(context: SSL.Context, suites: str) -> None:
    """Set the cipher suites of TLS 1.3 (SSL_CTX_set_ciphersuites). Raises `SSL.Error`."""
    if lib.SSL_CTX_set_ciphersuites(context._context, suites.encode()) != 1:
        exception_from_error_queue(SSL.Error)


def set_signature_algorithms(context: SSL.Context, algorithms: str) -> bool:
    """Set the signatures that we make and take (SSL_CTX_set1_sigalgs_list); False if OpenSSL does not take the list."""
    taken = bool(lib.SSL_CTX_set1_sigalgs_list(context._context, algorithms.encode()) == 1)
    if not taken:
        clear_errors()
    return taken


def set_security_level(context: SSL.Context, level: int) -> bool:
    """SSL_CTX_set_security_level; False if it cannot be called here (a cipher list can say @SECLEVEL instead)."""
    function = native.function("SSL_CTX_set_security_level", None, c_void_p, c_int)
    if function is not None:
        function(native.pointer(context._context), level)
    return function is not None


def session_reused(connection: SSL.Connection) -> bool:
    """Whether the handshake resumed a session (SSL_session_reused)."""
    return bool(lib.SSL_session_reused(connection._ssl))


def alert_reason(description: int) -> str:
    """What OpenSSL says of a connection that the peer has ended by an alert."""
    text = lib.ERR_reason_error_string(_SSL_LIBRARY << _LIBRARY_SHIFT | _ALERT_REASONS + description)
    reason = f"alert number {description}" if text == ffi.NULL else bytes(ffi.string(text)).decode("ascii", "replace")
    return f"SSL routines::{reason}"


def matches_host(certificate: X509, host: str) -> bool:
    """Whether a certificate is for a host name, by OpenSSL's own matching (X509_check_host, RFC 6125)."""
    return _matches(certificate, host=host)


def matches_ip(certificate: X509, address: str) -> bool:
    """Whether a certificate is for an IP address (X509_check_ip). `address` is a literal."""
    return _matches(certificate, ip=ipaddress.ip_address(address).packed)


def subject(certificate: X509) -> list[tuple[str, str]]:
    """The subject as short names and values, in the certificate's order. Any certificate that OpenSSL reads has one.

    cryptography's parser refuses some of them, and pyOpenSSL's own X509Name is deprecated.
    """
    return _entries(lib.X509_get_subject_name(certificate._x509))


def is_self_issued(certificate: X509) -> bool:
    """Whether a certificate names its own subject as its issuer."""
    raw = certificate._x509
    return bool(lib.X509_NAME_cmp(lib.X509_get_subject_name(raw), lib.X509_get_issuer_name(raw)) == 0)


def issuer(certificate: X509) -> list[tuple[str, str]]:
    """The issuer's name, as `subject`."""
    return _entries(lib.X509_get_issuer_name(certificate._x509))


def _entries(name: object) -> list[tuple[str, str]]:
    entries = (lib.X509_NAME_get_entry(name, index) for index in range(lib.X509_NAME_entry_count(name)))
    return [(_short_name(entry), _value(entry)) for entry in entries]


def _short_name(entry: object) -> str:
    number = lib.OBJ_obj2nid(lib.X509_NAME_ENTRY_get_object(entry))
    return bytes(ffi.string(lib.OBJ_nid2sn(number))).decode("ascii", "replace")


def _value(entry: object) -> str:
    data = lib.X509_NAME_ENTRY_get_data(entry)
    converted = ffi.new("unsigned char **")
    length = lib.ASN1_STRING_to_UTF8(converted, data)
    if length < 0:
        # Not what its type says (a BMPString of an odd length): shown as it is.
        clear_errors()
        raw = ffi.buffer(lib.ASN1_STRING_get0_data(data), lib.ASN1_STRING_length(data))[:]
        return bytes(raw).decode("ascii", "replace")
    text = bytes(ffi.buffer(converted[0], length)[:]).decode("utf-8", "replace")
    lib.OPENSSL_free(converted[0])
    return text


def _matches(certificate: X509, *, host: str | None = None, ip: bytes | None = None) -> bool:
    # X509_check_host itself is not bound. A verification of the leaf alone, trusted as it is (PARTIAL_CHAIN), at no
    # particular time, leaves the name check as the only thing that can fail.
    param = ffi.gc(lib.X509_VERIFY_PARAM_new(), lib.X509_VERIFY_PARAM_free)
    lib.X509_VERIFY_PARAM_set_flags(param, lib.X509_V_FLAG_PARTIAL_CHAIN | _NO_CHECK_TIME)
    if host is not None:
        name = host.encode()
        # OpenSSL takes no name for any name.
        usable = lib.X509_VERIFY_PARAM_set1_host(param, name, len(name)) if name else 0
    else:
        usable = lib.X509_VERIFY_PARAM_set1_ip(param, ip, len(ip or b""))
    store = ffi.gc(lib.X509_STORE_new(), lib.X509_STORE_free)
    context = ffi.gc(lib.X509_STORE_CTX_new(), lib.X509_STORE_CTX_free)
    matched = bool(
        usable == 1
        and lib.X509_STORE_add_cert(store, certificate._x509) == 1
        and lib.X509_STORE_set1_param(store, param) == 1
        and lib.X509_STORE_CTX_init(context, store, certificate._x509, ffi.NULL) == 1
        and lib.X509_verify_cert(context) == 1
    )
    clear_errors()
    return matched


def cipher_name(number: int) -> str | None:
    """OpenSSL's name of a cipher suite by IANA's number; None for one that this OpenSSL does not know."""
    cipher = lib.SSL_CIPHER_find(_any_connection(), number.to_bytes(2))
    return None if cipher == ffi.NULL else bytes(ffi.string(lib.SSL_CIPHER_get_name(cipher))).decode("ascii")


@cache
def _any_connection() -> object:
    # SSL_CIPHER_find(3) wants one, to know which protocol's numbers are meant.
    context = ffi.gc(lib.SSL_CTX_new(lib.TLS_method()), lib.SSL_CTX_free)
    return ffi.gc(lib.SSL_new(context), lib.SSL_free)


def verify_reason(error_number: int) -> str:
    """OpenSSL's text for a verification error (X509_verify_cert_error_string)."""
    return bytes(ffi.string(lib.X509_verify_cert_error_string(error_number))).decode("utf-8", "replace")


def take_errors() -> list[str]:
    """Empty OpenSSL's error queue into texts, `SSL routines::no cipher match`, the first cause first."""
    texts = []
    while number := lib.ERR_get_error():
        parts = (lib.ERR_lib_error_string(number), lib.ERR_reason_error_string(number))
        library, reason = ("" if part == ffi.NULL else ffi.string(part).decode("utf-8", "replace") for part in parts)
        if number & _SYSTEM_ERROR:
            reason = os.strerror(number & ~_SYSTEM_ERROR)
        texts.append(f"{library}::{reason or 'unknown reason'}")
    return texts


def clear_errors() -> None:
    """Empty OpenSSL's error queue."""
    # A stale entry in the queue would be taken for the cause of the next failure.
    while lib.ERR_get_error():
        pass


def write_whole(context: SSL.Context) -> None:
    """Let SSL_write take all that it is given, as many records; pyOpenSSL's contexts take one record at a time.

    What it could not take (a renegotiation is under way) has to be given to it again as it was.
    """
    lib.SSL_CTX_clear_mode(context._context, lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
