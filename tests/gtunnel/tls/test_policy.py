"""Versions, options, ciphers and groups: what two engines agree on, and which lists are refused."""


import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from tests.gtunnel.tls.pairs import Meeting, client, met, presenting, server, service
from tests.support.certificates import Identity, Pki


def refusal(*lines: str, client_side: bool = False) -> str:
    """Why a service with these lines is not compiled."""
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, client=client_side))
    return str(caught.value)


def private_key(identity: Identity) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("ciphers = NO-SUCH", "SSL routines::no cipher match"),
        ("ciphersuites = NO_SUCH", "SSL routines::no cipher match"),
        ("curves = P-256:NO-SUCH", "Invalid groups list in 'curves'"),
    ],
)
def test_lists_that_openssl_does_not_take(pki: Pki, line: str, reason: str) -> None:
    assert refusal(*presenting(pki.server), line) == f"{line}: {reason}"


def test_a_refused_list_leaves_nothing_behind_for_the_next_context(pki: Pki) -> None:
    refusal("curves = NO-SUCH", client_side=True)
    refusal("ciphers = NO-SUCH", client_side=True)
    met(client(), server(*presenting(pki.server)))


def test_ciphers_are_what_was_asked_for(pki: Pki) -> None:
    meeting = met(
        client("sslVersion = TLSv1.2", "ciphers = ECDHE-ECDSA-AES128-GCM-SHA256"), server(*presenting(pki.server))
    )
    assert meeting.client.negotiated().cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"
    assert meeting.client.negotiated().bits == 128


@pytest.mark.parametrize("ciphers", ["DEFAULT", "DEFAULT:!AES256", "ALL:@SECLEVEL=0", "HIGH:", "@SECLEVEL=1:ALL"])
def test_every_form_of_a_cipher_list_is_taken(pki: Pki, ciphers: str) -> None:
    met(client("sslVersion = TLSv1.2", f"ciphers = {ciphers}"), server(*presenting(pki.server)))


def test_a_security_level_among_the_ciphers_wins(pki: Pki) -> None:
    assert "ee key too small" in refusal(*presenting(pki.server_rsa), "ciphers = HIGH:@SECLEVEL=3")
    context.build(service(*presenting(pki.server_rsa), "ciphers = HIGH:@SECLEVEL=2", "securityLevel = 3"))


def test_ciphersuites_are_what_was_asked_for(pki: Pki) -> None:
    meeting = met(client("ciphersuites = TLS_CHACHA20_POLY1305_SHA256"), server(*presenting(pki.server)))
    assert meeting.server.negotiated().cipher == "TLS_CHACHA20_POLY1305_SHA256"


def test_curves_are_what_was_asked_for(pki: Pki) -> None:
    theirs = server(*presenting(pki.server), "curves = P-384")
    meeting = met(client("curves = P-521:P-384"), theirs)
    assert meeting.client.negotiated().group in {"secp384r1", "P-384", None}
    assert not Meeting(client("curves = P-521"), server(*presenting(pki.server), "curves = P-384")).shake().agreed


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        (["sslVersion = TLSv1.2"], [], "TLSv1.2"),
        ([], ["sslVersionMax = TLSv1.2"], "TLSv1.2"),
        (["sslVersionMin = TLSv1.3"], [], "TLSv1.3"),
        ([], [], "TLSv1.3"),
        (["options = NO_TLSv1_3"], [], "TLSv1.2"),
        ([], ["options = no_tlsv1_3"], "TLSv1.2"),
        (["options = NO_TLSv1_3", "options = -NO_TLSv1_3"], [], "TLSv1.3"),
        (["options = NO_TLSv1_3", "options = -NO_TLSv1_3", "options = NO_TLSv1_3"], [], "TLSv1.2"),
        (["sslVersionMin = TLSv1.3"], ["sslVersionMax = TLSv1.2"], None),
        (["sslVersionMin = TLSv1.3", "options = NO_TLSv1_3"], [], None),
    ],
)
def test_versions_by_bounds_and_by_options(pki: Pki, ours: list[str], theirs: list[str], agreed: str | None) -> None:
    meeting = Meeting(client(*ours), server(*presenting(pki.server), *theirs)).shake()
    assert meeting.agreed is (agreed is not None)
    assert agreed is None or meeting.client.negotiated().version == agreed


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1"])
def test_old_versions_need_a_lower_security_level(pki: Pki, version: str) -> None:
    lines = (f"sslVersion = {version}",)
    assert not Meeting(client(*lines), server(*presenting(pki.server), *lines)).shake().agreed
    low = (*lines, "securityLevel = 0", "ciphers = DEFAULT")
    assert met(client(*low), server(*presenting(pki.server), *low)).client.negotiated().version == version


def test_the_security_level_judges_certificates(pki: Pki) -> None:
    text = refusal(*presenting(pki.server_rsa), "securityLevel = 3")
    assert text == f"cert = {pki.server_rsa.cert}: SSL routines::ee key too small"
    met(client(), server(*presenting(pki.server_rsa), "securityLevel = 2"))


def test_an_option_that_this_openssl_has_not_got_is_named(pki: Pki) -> None:
    text = refusal(*presenting(pki.server), "options = CISCO_ANYCONNECT")
    assert text == "options = CISCO_ANYCONNECT: this OpenSSL has no such option (see -options)"


def test_an_option_that_openssl_sets_itself_cannot_be_cleared_silently(pki: Pki) -> None:
    text = refusal(*presenting(pki.server), "options = -NO_COMPRESSION")
    assert text == "options = -NO_COMPRESSION: OpenSSL sets it itself; it cannot be cleared here"


def test_a_ticket_is_not_sent_where_tickets_are_off(pki: Pki) -> None:
    with_tickets = met(client("sslVersion = TLSv1.2"), server(*presenting(pki.server)))
    without = met(client("sslVersion = TLSv1.2"), server(*presenting(pki.server), "options = NO_TICKET"))
    assert with_tickets.agreed
    assert without.agreed
