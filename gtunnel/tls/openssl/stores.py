"""A context's store of certificates and revocation lists: what pyOpenSSL's X509Store does not do, or not in all of its
versions."""

import base64
import binascii
import re
from ctypes import c_char_p, c_int, c_void_p
from typing import Final

from OpenSSL import SSL
from OpenSSL._util import exception_from_error_queue, ffi, lib

from gtunnel.tls.openssl import native

# x509_vfy.h; all of it is part of OpenSSL's ABI.
UNABLE_TO_GET_CRL: Final = 3
CRL_NOT_YET_VALID: Final = 11
CRL_HAS_EXPIRED: Final = 12
REVOKED: Final = 23
# Everything else that can be wrong with a list or with finding one, from its signature to its scope.
_OTHERS: Final = (5, 8, 15, 16, 33, 35, 36, 44, 54)
CRL_TROUBLE: Final = frozenset({UNABLE_TO_GET_CRL, CRL_NOT_YET_VALID, CRL_HAS_EXPIRED, *_OTHERS})

# RFC 7468, section 6.
_LIST: Final = re.compile(rb"-----BEGIN X509 CRL-----(.*?)-----END X509 CRL-----", re.DOTALL)


def add_lists(context: SSL.Context, pem: bytes) -> int:
    """Add all revocation lists of a PEM text, and nothing else of it; how many there were.

    Raises `SSL.Error` for one that OpenSSL does not read.
    """
    store = lib.SSL_CTX_get_cert_store(context._context)
    count = 0
    for block in _LIST.finditer(pem):
        try:
            der = base64.b64decode(block[1])
        except binascii.Error as error:
            raise SSL.Error([("PEM routines", "", "bad base64 decode")]) from error
        buffer = ffi.new("char[]", der)
        bio = ffi.gc(lib.BIO_new_mem_buf(buffer, len(der)), lib.BIO_free)
        crl = lib.d2i_X509_CRL_bio(bio, ffi.NULL)
        if crl == ffi.NULL:
            exception_from_error_queue(SSL.Error)
        crl = ffi.gc(crl, lib.X509_CRL_free)
        # The store takes a reference of its own.
        if lib.X509_STORE_add_crl(store, crl) != 1:
            exception_from_error_queue(SSL.Error)
        count += 1
    return count


def add_directory(context: SSL.Context, directory: str) -> None:
    """Look for certificates and lists in a directory of hashed names, each time that one is wanted. Raises `SSL.Error`.

    OpenSSL looks for a list that is newer than the one it has, too: NAME.r1 after NAME.r0.
    """
    store = lib.SSL_CTX_get_cert_store(context._context)
    if lib.X509_STORE_load_locations(store, ffi.NULL, directory.encode(errors="surrogateescape")) != 1:
        exception_from_error_queue(SSL.Error)


def check_lists(context: SSL.Context) -> None:
    """Look up each certificate of a peer's chain in its issuer's list."""
    store = lib.SSL_CTX_get_cert_store(context._context)
    lib.X509_STORE_set_flags(store, lib.X509_V_FLAG_CRL_CHECK | lib.X509_V_FLAG_CRL_CHECK_ALL)


def can_load_stores() -> bool:
    """Whether OpenSSL can be given any URI of certificates."""
    return native.function("SSL_CTX_load_verify_store", c_int, c_void_p, c_char_p) is not None


def add_store(context: SSL.Context, uri: str) -> None:
    """Trust what a URI holds, by OpenSSL's own loaders (OSSL_STORE). Only if `can_load_stores`. Raises `SSL.Error`."""
    load = native.function("SSL_CTX_load_verify_store", c_int, c_void_p, c_char_p)
    if load is None or load(native.pointer(context._context), uri.encode(errors="surrogateescape")) != 1:
        exception_from_error_queue(SSL.Error)
