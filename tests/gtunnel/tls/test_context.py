"""From settings to a context: what OpenSSL does not take is named with its file or option, before anything runs."""

import contextlib
import gc
import os
import weakref
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

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


def test_certificate_and_key_may_be_one_file(pki: Pki) -> None:
    met(client(), server(f"cert = {pki.server.pem}"))


def test_the_whole_chain_is_presented(pki: Pki) -> None:
    # The client knows the root only; leaf and root are in the file.
    met(client(f"CAfile = {pki.ca}", "verifyChain = yes"), server(*presenting(pki.server)))


@pytest.mark.parametrize("what", ["cert", "key"])
def test_a_file_that_is_not_there_is_named(pki: Pki, tmp_path: Path, what: str) -> None:
    lines = {
        "cert": f"cert = {pki.server.cert}",
        "key": f"key = {pki.server.key}",
        what: f"{what} = {tmp_path}/none.pem",
    }
    assert refusal(*lines.values()) == f"{what} = {tmp_path}/none.pem: No such file or directory"


def test_a_directory_instead_of_a_file_is_named(tmp_path: Path) -> None:
    assert refusal(f"cert = {tmp_path}") == f"cert = {tmp_path}: Is a directory"


@pytest.mark.parametrize("content", [b"", b"hello\n", os.urandom(2000)])
def test_a_file_that_is_no_pem_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.pem"
    file.write_bytes(content)
    assert refusal(f"cert = {file}") == f"cert = {file}: not a PEM file (PKCS#12 does not work yet)"


def test_pkcs12_is_refused_by_name(pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "bundle.p12"
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(
            b"x", private_key(pki.server), pki.server.certificate, None, serialization.NoEncryption()
        )
    )
    assert refusal(f"cert = {file}") == f"cert = {file}: not a PEM file (PKCS#12 does not work yet)"


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key_is_refused_instead_of_asking_on_the_terminal(
    pki: Pki, tmp_path: Path, form: serialization.PrivateFormat
) -> None:
    file = tmp_path / "secret.pem"
    encryption = serialization.BestAvailableEncryption(b"correct horse")
    file.write_bytes(private_key(pki.server).private_bytes(serialization.Encoding.PEM, form, encryption))
    assert refusal(f"cert = {pki.server.cert}", f"key = {file}") == (
        f"key = {file}: the private key is encrypted, which does not work yet"
    )


def test_a_certificate_that_is_damaged_is_named_with_openssl_s_reason(pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "damaged.pem"
    lines = pki.server.cert.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[2], lines[1], *lines[3:]]))
    text = refusal(f"cert = {file}", f"key = {pki.server.key}")
    assert text.startswith(f"cert = {file}: ")
    assert "routines::" in text


def test_a_key_that_is_damaged_is_named_and_nothing_of_it_is_shown(pki: Pki, tmp_path: Path) -> None:
    file = tmp_path / "damaged.key"
    lines = pki.server.key.read_text().splitlines()
    file.write_text("\n".join([lines[0], lines[1][::-1], *lines[2:]]))
    text = refusal(f"cert = {pki.server.cert}", f"key = {file}")
    assert text.startswith(f"key = {file}: ")
    assert not any(part in text for line in lines[1:-1] for part in (line[:8], line[::-1][:8]))


@pytest.mark.parametrize(
    ("other", "reason"),
    [("client", "x509 certificate routines::key values mismatch"), ("server_rsa", "does not belong to")],
)
def test_a_key_of_another_certificate_is_named(pki: Pki, other: str, reason: str) -> None:
    key = getattr(pki, other).key
    assert refusal(f"cert = {pki.server.cert}", f"key = {key}").startswith(f"key = {key}: {reason}")


def test_a_certificate_file_without_its_key(pki: Pki) -> None:
    text = refusal(f"cert = {pki.server.cert}")
    assert text == f"cert = {pki.server.cert}: no private key in it: set key"


def test_a_key_file_without_a_key(pki: Pki) -> None:
    text = refusal(f"cert = {pki.server.cert}", f"key = {pki.client.cert}")
    assert text == f"key = {pki.client.cert}: no private key in it"


def test_all_that_is_wrong_is_told_together(tmp_path: Path) -> None:
    lines = [f"{option} = {tmp_path}/no-{option}" for option in ("cert", "key", "CAfile", "CApath")]
    other = ["options = TLS_ROLLBACK_BUG", "ciphers = NONE", "ciphersuites = x", "curves = x"]
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, *other, "verifyChain = yes"))
    found = {problem.option for problem in caught.value.problems}
    assert found >= {"cert", "key", "CAfile", "CApath", "ciphers", "ciphersuites", "curves"}
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]


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


@pytest.mark.parametrize(
    ("line", "host", "name"),
    [
        (None, "www.example.org", "www.example.org"),
        (None, "192.0.2.1", None),
        (None, "2001:db8::1", None),
        (None, "fe80::1%eth0", None),
        (None, None, None),
        (None, "", None),
        ("sni = other.example", "www.example.org", "other.example"),
        ("sni = other.example", None, "other.example"),
        ("sni =", "www.example.org", None),
        ("sni = 192.0.2.1", "www.example.org", None),
    ],
)
def test_the_server_name_of_a_client(line: str | None, host: str | None, name: str | None) -> None:
    assert context.build(service(*filter(None, [line]), client=True)).server_name(host) == name


def test_a_server_sends_no_name(pki: Pki) -> None:
    assert context.build(service(*presenting(pki.server))).server_name("www.example.org") is None


def test_a_trust_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = refusal(f"CApath = {tmp_path}/none", "verifyChain = yes", client_side=True)
    assert text == f"CApath = {tmp_path}/none: No such file or directory"


def test_a_trust_directory_that_is_a_file_is_named(pki: Pki) -> None:
    text = refusal(f"CApath = {pki.ca}", "verifyChain = yes", client_side=True)
    assert text == f"CApath = {pki.ca}: Not a directory"


def test_a_service_s_name_of_any_length_is_a_session_context(pki: Pki) -> None:
    settings = service(*presenting(pki.server), f"service = {'ü' * 20}")
    met(client(), context.build(settings).engine())


@pytest.mark.parametrize("lines", [["cert = /none"], ["cert = /none", "key = /no", "CAfile = /none"]])
def test_a_failure_keeps_nothing_alive(lines: list[str]) -> None:
    class Witness:
        pass

    def build() -> "weakref.ref[Witness]":
        witness = Witness()
        with contextlib.suppress(TlsSetupError):
            context.build(service(*lines))
        return weakref.ref(witness)

    gc.disable()
    try:
        assert build()() is None
    finally:
        gc.enable()
