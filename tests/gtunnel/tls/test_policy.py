"""Versions, options, ciphers and groups: what two engines agree on, and which lists are refused."""


import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl import binding, options
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


@pytest.mark.parametrize(
    ("ours", "chosen"),
    [
        ([], 256),
        (["options = -CIPHER_SERVER_PREFERENCE"], 128),
        (["ciphers = HIGH"], 128),
        (["ciphers = HIGH", "options = CIPHER_SERVER_PREFERENCE"], 256),
        (["ciphersuites = TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"], 128),
    ],
)
@pytest.mark.parametrize(
    "theirs",
    [
        ["ciphers = ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384", "sslVersion = TLSv1.2"],
        ["ciphersuites = TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"],
    ],
)
def test_who_chooses_the_cipher(pki: Pki, ours: list[str], theirs: list[str], chosen: int) -> None:
    assert met(client(*theirs), server(*presenting(pki.server), *ours)).client.negotiated().bits == chosen


def test_who_wants_chacha20_first_gets_it(pki: Pki) -> None:
    wanted = "ciphersuites = TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
    meeting = met(client(wanted), server(*presenting(pki.server)))
    assert meeting.client.negotiated().cipher == "TLS_CHACHA20_POLY1305_SHA256"


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


def test_an_option_that_this_openssl_has_not_got_is_named(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {name: bits for name, bits in options.numbers().items() if name != "CISCO_ANYCONNECT"}
    monkeypatch.setattr(options, "numbers", lambda: known)
    text = refusal(*presenting(pki.server), "options = CISCO_ANYCONNECT")
    assert text == "options = CISCO_ANYCONNECT: this OpenSSL has no such option (see -options)"


def test_an_option_that_openssl_sets_itself_is_really_cleared_or_refused(pki: Pki) -> None:
    lines = (*presenting(pki.server), "options = -ENABLE_MIDDLEBOX_COMPAT", "options = -NO_TICKET")
    if options.can_clear():
        built = context.build(service(*lines)).context
        assert not options.get(built) & options.numbers()["ENABLE_MIDDLEBOX_COMPAT"]
    else:
        why = "OpenSSL sets it itself, and the bindings of this build cannot clear it (docs/debian.md)"
        assert refusal(*lines) == f"options = -ENABLE_MIDDLEBOX_COMPAT: {why}"


def test_an_option_that_is_cleared_and_set_again_is_set(pki: Pki) -> None:
    lines = ("options = -ENABLE_MIDDLEBOX_COMPAT", "options = ENABLE_MIDDLEBOX_COMPAT")
    built = context.build(service(*presenting(pki.server), *lines)).context
    assert options.get(built) & options.numbers()["ENABLE_MIDDLEBOX_COMPAT"]


@pytest.mark.parametrize("bits", ["ENABLE_KTLS", "PRIORITIZE_CHACHA", "ALL"])
def test_options_that_no_bindings_list_are_set(pki: Pki, bits: str) -> None:
    built = context.build(service(*presenting(pki.server), f"options = {bits}")).context
    assert options.get(built) & options.numbers()[bits] == options.numbers()[bits]


def test_an_option_known_by_its_bit_does_what_it_says(pki: Pki) -> None:
    # A client that likes ChaCha20 best gets it, although the server prefers AES.
    theirs = ("options = CIPHER_SERVER_PREFERENCE", "options = PRIORITIZE_CHACHA")
    ours = "ciphersuites = TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
    assert met(client(ours), server(*presenting(pki.server), *theirs)).client.negotiated().cipher == (
        "TLS_CHACHA20_POLY1305_SHA256"
    )
    assert met(client(ours), server(*presenting(pki.server), theirs[0])).client.negotiated().cipher == (
        "TLS_AES_256_GCM_SHA384"
    )


def test_the_default_prefers_the_post_quantum_hybrid_where_there_is_one(pki: Pki) -> None:
    group = met(client(), server(*presenting(pki.server))).server.negotiated().group
    hybrid = binding.set_groups(SSL.Context(SSL.TLS_METHOD), "X25519MLKEM768")
    assert group in ({"X25519MLKEM768"} if hybrid else {"x25519", "X25519", None})


@pytest.mark.parametrize("group", ["X25519", "P-256"])
def test_a_peer_without_the_hybrid_is_served(pki: Pki, group: str) -> None:
    met(client(f"curves = {group}"), server(*presenting(pki.server)))
    met(client(), server(*presenting(pki.server), f"curves = {group}"))


def test_a_ticket_is_not_sent_where_tickets_are_off(pki: Pki) -> None:
    with_tickets = met(client("sslVersion = TLSv1.2"), server(*presenting(pki.server)))
    without = met(client("sslVersion = TLSv1.2"), server(*presenting(pki.server), "options = NO_TICKET"))
    assert with_tickets.agreed
    assert without.agreed
