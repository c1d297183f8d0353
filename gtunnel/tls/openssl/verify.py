"""OpenSSL's verification callback, with a say in what stays of an error.

pyOpenSSL's own (`Context.set_verify`) forgets the error of a certificate that is accepted all the same. Here it stays:
it is the connection's verify result, OpenSSL keeps that in the session, and so a resumed session still knows that its
peer did not convince (option redirect).
"""

from collections.abc import Callable

from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from OpenSSL.crypto import X509

from gtunnel.tls.openssl.binding import clear_errors

# x509_vfy.h: what is wrong is none of OpenSSL's reasons.
APPLICATION_VERIFICATION = 50
OK = 0

# (connection, certificate, error or OK, depth) -> (go on, the error that stands)
Decision = Callable[[SSL.Connection, X509, int, int], tuple[bool, int]]


def set_verify(context: SSL.Context, mode: int, decide: Decision) -> None:
    """Have `decide` called for each certificate of a peer's chain, and for each problem found with one.

    It must not raise: a certificate that it fails on is refused, whatever was asked.
    """

    def verify(ok: int, store: object) -> int:
        certificate = lib.X509_STORE_CTX_get_current_cert(store)
        connection = _connection(store)
        if certificate == ffi.NULL or connection is None:
            return 0
        # The wrapper frees what it wraps.
        lib.X509_up_ref(certificate)
        wrapped = X509._from_raw_x509_ptr(certificate)
        # Where all is well with this one, the store's error is one that was let pass before.
        error = OK if ok else lib.X509_STORE_CTX_get_error(store)
        go_on, stands = decide(connection, wrapped, error, lib.X509_STORE_CTX_get_error_depth(store))
        lib.X509_STORE_CTX_set_error(store, stands)
        if go_on:
            # What is wrong with a signature stands in the thread's error queue, and as a server OpenSSL leaves it
            # there: the next operation of any connection that has to wait would seem to have failed.
            clear_errors()
        return int(go_on)

    callback = ffi.callback("int(int, X509_STORE_CTX *)", verify, error=0)
    lib.SSL_CTX_set_verify(context._context, mode, callback)
    keep(context, callback)


def verify_result(connection: SSL.Connection) -> int:
    """The error that stands (SSL_get_verify_result); 0 for none. A resumed session has that of its beginning."""
    return int(lib.SSL_get_verify_result(connection._ssl))


def keep(context: SSL.Context, callback: object) -> None:
    """Let a callback live as long as the context that OpenSSL calls it for."""
    kept = context.__dict__.setdefault("_gtunnel_callbacks", [])
    kept.append(callback)


def _connection(store: object) -> SSL.Connection | None:
    ssl = lib.X509_STORE_CTX_get_ex_data(store, lib.SSL_get_ex_data_X509_STORE_CTX_idx())
    return SSL.Connection._reverse_mapping.get(ssl)
