"""What OpenSSL does behind the private bindings, on this machine's build."""

import ctypes

import pytest
from OpenSSL import SSL
from OpenSSL.crypto import X509

from gtunnel.tls.openssl import binding, native
from tests.gtunnel.tls.pairs import client, met, presenting, server
from tests.support.certificates import Pki


def test_an_option_of_a_connection() -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_options(SSL.OP_NO_TICKET)
    connection = SSL.Connection(context, None)
    assert binding.has_option(connection, "NO_TICKET")
    assert not binding.has_option(connection, "NO_TLSv1_2")
    assert not binding.has_option(connection, "NO_SUCH_OPTION")


@pytest.mark.parametrize(("groups", "taken"), [("X25519", True), ("P-256:P-384", True), ("NO-SUCH", False)])
def test_groups_are_taken_or_refused(groups: str, *, taken: bool) -> None:
    assert binding.set_groups(SSL.Context(SSL.TLS_METHOD), groups) is taken


def test_a_security_level_is_set_or_said_to_be_impossible() -> None:
    context = SSL.Context(SSL.TLS_METHOD)
    assert binding.set_security_level(context, 3) is native.SHARED
    level = native.function("SSL_CTX_get_security_level", ctypes.c_int, ctypes.c_void_p)
    assert level is None or level(native.pointer(context._context)) == 3


def test_a_refusal_leaves_no_error_behind() -> None:
    binding.set_groups(SSL.Context(SSL.TLS_METHOD), "NO-SUCH")
    with pytest.raises(SSL.Error) as caught:
        SSL.Context(SSL.TLS_METHOD).set_cipher_list(b"NO-SUCH")
    assert [entry[2] for entry in caught.value.args[0]] == ["no cipher match"]


@pytest.mark.parametrize(("host", "match"), [("localhost", True), ("LOCALHOST", True), ("local", False), ("", False)])
def test_hosts(pki: Pki, host: str, *, match: bool) -> None:
    assert binding.matches_host(X509.from_cryptography(pki.server.certificate), host) is match


def test_a_host_with_a_nul_matches_nothing(pki: Pki) -> None:
    assert not binding.matches_host(X509.from_cryptography(pki.server.certificate), "localhost\0.evil.example")


@pytest.mark.parametrize(
    ("address", "match"), [("127.0.0.1", True), ("127.0.0.2", False), ("::1", True), ("::2", False)]
)
def test_addresses(pki: Pki, address: str, *, match: bool) -> None:
    assert binding.matches_ip(X509.from_cryptography(pki.server.certificate), address) is match


@pytest.mark.parametrize("name", ["expired", "self_signed", "stranger_server", "server_rsa"])
def test_names_are_compared_and_nothing_else(pki: Pki, name: str) -> None:
    certificate = X509.from_cryptography(getattr(pki, name).certificate)
    assert binding.matches_host(certificate, "localhost")
    assert not binding.matches_host(certificate, "other.example.org")


def test_a_verification_error_in_openssl_s_words() -> None:
    assert binding.verify_reason(10) == "certificate has expired"
    assert binding.verify_reason(0) == "ok"


def test_a_new_session_is_not_a_reused_one(pki: Pki) -> None:
    meeting = met(client(), server(*presenting(pki.server)))
    assert not meeting.client.negotiated().reused
    assert not meeting.server.negotiated().reused


def test_a_subject_in_the_certificate_s_order(pki: Pki) -> None:
    assert binding.subject(X509.from_cryptography(pki.client.certificate)) == [("CN", "alice")]


def test_who_names_himself_as_issuer(pki: Pki) -> None:
    assert binding.is_self_issued(X509.from_cryptography(pki.self_signed.certificate))
    assert not binding.is_self_issued(X509.from_cryptography(pki.server.certificate))
