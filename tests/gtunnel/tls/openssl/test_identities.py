"""Certificates, keys and parameters from memory."""

import pytest
from OpenSSL import SSL, crypto

from gtunnel.tls.openssl import identities
from tests.support.certificates import Pki


def context() -> SSL.Context:
    return SSL.Context(SSL.TLS_METHOD)


def test_a_key_that_is_none_is_openssl_s_error() -> None:
    with pytest.raises(crypto.Error):
        identities.read_key(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"")


def test_a_key_of_another_certificate_is_refused(pki: Pki) -> None:
    it = context()
    identities.use_chain(it, pki.server.certificate, [pki.authority.certificate])
    identities.use_key(it, identities.read_key(pki.server.key.read_bytes(), b""))
    with pytest.raises(SSL.Error):
        identities.use_key(it, identities.read_key(pki.client.key.read_bytes(), b""))


def test_parameters_that_are_none_are_refused() -> None:
    with pytest.raises(SSL.Error):
        identities.use_dh_parameters(context(), b"-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n")


def test_ciphers_are_told_and_the_context_stays_open() -> None:
    it = context()
    it.set_cipher_list(b"ECDHE-RSA-AES256-GCM-SHA384")
    assert "ECDHE-RSA-AES256-GCM-SHA384" in identities.cipher_names(it)
    it.set_cipher_list(b"DEFAULT")
