"""Functions of OpenSSL by their names, on whichever build this is."""

import ctypes

import pytest
from OpenSSL import SSL

from gtunnel.tls.openssl import native

shared = pytest.mark.skipif(not native.SHARED, reason="this OpenSSL is linked statically into the bindings")


def test_a_function_that_no_openssl_has_is_absent() -> None:
    assert native.function("SSL_CTX_no_such_function", None) is None


def test_a_function_can_be_asked_for() -> None:
    assert native.has("SSL_CTX_free") is native.SHARED
    assert not native.has("SSL_CTX_no_such_function")


def test_to_demand_what_is_absent_is_a_bug_that_names_it() -> None:
    with pytest.raises(NotImplementedError, match="SSL_CTX_no_such_function"):
        native.demand("SSL_CTX_no_such_function", None)


@pytest.mark.skipif(native.SHARED, reason="this OpenSSL is a shared library")
def test_a_static_openssl_shows_nothing() -> None:
    assert native.function("SSL_CTX_free", None, ctypes.c_void_p) is None


@shared
def test_pyopenssls_own_objects_are_what_the_functions_work_on() -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    timeout = native.function("SSL_CTX_get_timeout", ctypes.c_long, ctypes.c_void_p)
    assert timeout is not None
    context.set_timeout(4711)
    assert timeout(native.pointer(context._context)) == 4711
