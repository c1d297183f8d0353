"""Certificates and keys from memory, for a context.

pyOpenSSL's own functions for it take other types in each of its versions, and its newer ones warn of the older types.
"""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto
from OpenSSL._util import exception_from_error_queue, ffi, lib


def read_key(pem: bytes, passphrase: bytes) -> crypto.PKey:
    """The first private key of a PEM text; a passphrase that is not needed is not looked at. Raises `crypto.Error`.

    OpenSSL never asks on the terminal: it has been given one.
    """
    return crypto.load_privatekey(crypto.FILETYPE_PEM, pem, passphrase)


def use_key(context: SSL.Context, key: crypto.PKey) -> None:
    """Use a private key; the certificate has to be there already. Raises `SSL.Error` if it does not belong to it."""
    if lib.SSL_CTX_use_PrivateKey(context._context, key._pkey) != 1:
        exception_from_error_queue(SSL.Error)


def use_chain(context: SSL.Context, certificate: x509.Certificate, issuers: list[x509.Certificate]) -> None:
    """Present a certificate, and its issuers' after it. Raises `SSL.Error`."""
    if lib.SSL_CTX_use_certificate(context._context, _wrapped(certificate)._x509) != 1:
        exception_from_error_queue(SSL.Error)
    for issuer in issuers:
        # The context takes over what it is given.
        copy = lib.X509_dup(_wrapped(issuer)._x509)
        if lib.SSL_CTX_add_extra_chain_cert(context._context, copy) != 1:
            lib.X509_free(copy)
            exception_from_error_queue(SSL.Error)


def use_dh_parameters(context: SSL.Context, pem: bytes) -> None:
    """Use the first Diffie-Hellman parameters of a PEM text for DHE. Raises `SSL.Error`."""
    buffer = ffi.new("char[]", pem)
    bio = ffi.gc(lib.BIO_new_mem_buf(buffer, len(pem)), lib.BIO_free)
    parameters = lib.PEM_read_bio_DHparams(bio, ffi.NULL, ffi.NULL, ffi.NULL)
    if parameters == ffi.NULL:
        exception_from_error_queue(SSL.Error)
    parameters = ffi.gc(parameters, lib.DH_free)
    if lib.SSL_CTX_set_tmp_dh(context._context, parameters) != 1:
        exception_from_error_queue(SSL.Error)


def wants_dhe(context: SSL.Context) -> bool:
    """Whether ciphers with ephemeral Diffie-Hellman in a finite field are asked for."""
    return any(name.startswith(("DHE-", "ADH-")) for name in cipher_names(context))


def cipher_names(context: SSL.Context) -> list[str]:
    """The ciphers that a context's connections offer or take."""
    # Not by a Connection: pyOpenSSL would take the context for finished.
    ssl = ffi.gc(lib.SSL_new(context._context), lib.SSL_free)
    names: list[str] = []
    while (name := lib.SSL_get_cipher_list(ssl, len(names))) != ffi.NULL:
        names.append(bytes(ffi.string(name)).decode("ascii", "replace"))
    return names


def _wrapped(certificate: x509.Certificate) -> crypto.X509:
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.public_bytes(Encoding.DER))
