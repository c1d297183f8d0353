"""Is this peer who it should be? Each demand with each kind of peer, in both roles, with real handshakes."""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import crypto
from OpenSSL.crypto import X509

from gtunnel.events import Level
from gtunnel.tls import context
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsSetupError, TlsStreamError
from gtunnel.tls.verification import subject_matches, subject_text
from tests.gtunnel.tls import pairs
from tests.gtunnel.tls.pairs import Meeting, client, presenting, read, server, service
from tests.support.certificates import Identity, Pki, Wish

FAILED = "SSL routines::certificate verify failed"
MISSING = "SSL_accept: SSL routines::peer did not return a certificate"
STRANGE = "unable to get local issuer certificate"
SELF_SIGNED = "self-signed certificate"
EXPIRED = "certificate has expired"
# What gtunnel adds to stunnel's words (tests/gtunnel/tls/test_reasons.py).
ADDED = re.compile(r"^(CERT: [^(]*) \(.*\)$")
NOT_LOCAL = "Certificate not found in local repository"
CHECKS = "Subject checks failed"


def verdicts(engine: TlsEngine) -> list[str]:
    """The lines that verification wants logged, as stunnel would write them."""
    return [ADDED.sub(r"\1", line) for line in pairs.verdicts(engine)]


@pytest.fixture(params=["TLSv1.2", "TLSv1.3"])
def version(request: pytest.FixtureRequest) -> str:
    """The test runs with each version."""
    return f"sslVersion = {request.param}"


@pytest.fixture(scope="session")
def expired_client(pki: Pki) -> Identity:
    """A client's from the trusted CA, that ended yesterday."""
    return pki.authority.issue(Wish(name="late", client=True, expired=True))


def trusting(*identities: Identity, ca: Path | None = None, to: Path) -> str:
    """The line that trusts these certificates, written to a file."""
    leaves = [identity.certificate.public_bytes(serialization.Encoding.PEM) for identity in identities]
    file = to / "trusted.pem"
    file.write_bytes(b"".join([*leaves, ca.read_bytes() if ca else b""]))
    return f"CAfile = {file}"


def server_meets(lines: Sequence[str], pki: Pki, peer: Identity | None, version: str) -> Meeting:
    """A server with these demands and a client that presents `peer`."""
    ours = server(*presenting(pki.server), *lines)
    theirs = client(version, *(presenting(peer) if peer else ()))
    return Meeting(theirs, ours).shake()


def client_meets(lines: Sequence[str], peer: Identity, version: str) -> Meeting:
    """A client with these demands and a server that presents `peer`."""
    return Meeting(client(*lines), server(version, *presenting(peer))).shake()


@pytest.mark.parametrize("lines", [[], ["verify = 0"]])
@pytest.mark.parametrize("name", [None, "client", "stranger_client"])
def test_a_server_that_demands_nothing_takes_anybody(
    pki: Pki, version: str, lines: list[str], name: str | None
) -> None:
    demands = [f"CAfile = {pki.ca}", *lines]
    assert server_meets(demands, pki, getattr(pki, name) if name else None, version).agreed


@pytest.mark.parametrize("lines", [["requireCert = yes"], ["verify = 2"], ["verifyChain = yes"], ["verifyPeer = yes"]])
def test_a_client_without_a_certificate_is_turned_away(pki: Pki, version: str, lines: list[str]) -> None:
    meeting = server_meets([f"CAfile = {pki.ca}", *lines], pki, None, version)
    assert meeting.error(meeting.server) == MISSING
    if not meeting.error(meeting.client):  # in TLS 1.3 the client has finished, and hears of it when it reads
        with pytest.raises(TlsStreamError, match=r"SSL_read: SSL routines::.*alert certificate required"):
            read(meeting.client)


def test_a_client_without_a_certificate_passes_where_only_present_ones_are_checked(pki: Pki, version: str) -> None:
    assert server_meets([f"CAfile = {pki.ca}", "verify = 1"], pki, None, version).agreed
    meeting = server_meets([f"CAfile = {pki.ca}", "verify = 1"], pki, pki.stranger_client, version)
    assert meeting.error(meeting.server) == f"SSL_accept: {FAILED}"


def test_a_demanded_certificate_that_is_not_checked_may_be_anybody_s(pki: Pki, version: str) -> None:
    meeting = server_meets(["requireCert = yes"], pki, pki.stranger_client, version)
    assert meeting.agreed
    assert meeting.server.negotiated().peer_subject == "CN=mallory"
    assert set(verdicts(meeting.server)) == {"Certificate verification disabled"}


@pytest.mark.parametrize("lines", [["verifyChain = yes"], ["verify = 1"], ["verify = 2"]])
def test_a_trusted_client_is_accepted_and_named(pki: Pki, version: str, lines: list[str]) -> None:
    meeting = server_meets([f"CAfile = {pki.ca}", *lines], pki, pki.client, version)
    assert meeting.agreed
    assert meeting.server.take_verdicts() == [
        (Level.INFO, "Certificate accepted at depth=1: CN=good"),
        (Level.NOTICE, "Certificate accepted at depth=0: CN=alice"),
    ]
    assert meeting.server.take_verdicts() == []


@pytest.mark.parametrize(
    ("name", "reason", "rejected"),
    [
        ("stranger_client", "self-signed certificate in certificate chain", "depth=1: CN=stranger"),
        ("self_signed", SELF_SIGNED, "depth=0: CN=localhost"),
        ("expired_client", EXPIRED, "depth=0: CN=late"),
    ],
)
def test_a_client_whose_chain_is_bad_is_rejected_with_openssl_s_reason(
    request: pytest.FixtureRequest, pki: Pki, version: str, name: str, reason: str, rejected: str
) -> None:
    peer = request.getfixturevalue(name) if name == "expired_client" else getattr(pki, name)
    meeting = server_meets([f"CAfile = {pki.ca}", "verifyChain = yes"], pki, peer, version)
    assert meeting.error(meeting.server) == f"SSL_accept: {FAILED}"
    lines = verdicts(meeting.server)
    assert lines[-2:] == [f"CERT: Pre-verification error: {reason}", f"Rejected by CERT at {rejected}"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stranger_server", "self-signed certificate in certificate chain"),
        ("self_signed", SELF_SIGNED),
        ("expired", EXPIRED),
        ("client", "unsuitable certificate purpose"),
    ],
)
def test_a_server_whose_chain_is_bad_is_rejected(pki: Pki, version: str, name: str, reason: str) -> None:
    meeting = client_meets([f"CAfile = {pki.ca}", "verifyChain = yes"], getattr(pki, name), version)
    assert meeting.error(meeting.client) == f"SSL_connect: {FAILED}"
    assert f"CERT: Pre-verification error: {reason}" in verdicts(meeting.client)
    assert "alert" in meeting.error(meeting.server)


@pytest.mark.parametrize("name", ["stranger_server", "self_signed", "expired", "wrong_host"])
def test_a_client_that_demands_nothing_takes_any_server(pki: Pki, version: str, name: str) -> None:
    meeting = client_meets([], getattr(pki, name), version)
    assert meeting.agreed
    assert set(verdicts(meeting.client)) == {"Certificate verification disabled"}


def test_a_chain_is_for_any_host_unless_a_host_is_asked_for(pki: Pki, version: str) -> None:
    demands = [f"CAfile = {pki.ca}", "verifyChain = yes"]
    assert client_meets(demands, pki.wrong_host, version).agreed
    meeting = client_meets([*demands, "checkHost = localhost"], pki.wrong_host, version)
    assert meeting.error(meeting.client) == f"SSL_connect: {FAILED}"
    assert verdicts(meeting.client)[-2:] == [
        f"CERT: {CHECKS}",
        "Rejected by CERT at depth=0: CN=other.example.org",
    ]


def test_trust_can_stand_in_a_directory(pki: Pki, version: str) -> None:
    demands = [f"CApath = {pki.authority.ca_directory}", "verifyChain = yes"]
    assert client_meets(demands, pki.server, version).agreed
    meeting = client_meets(demands, pki.stranger_server, version)
    assert meeting.error(meeting.client) == f"SSL_connect: {FAILED}"


def test_a_pinned_certificate_that_has_expired_is_refused(pki: Pki, version: str, tmp_path: Path) -> None:
    # As in stunnel4: only what is wrong with its issuers is forgiven (tests/integration/test_verification.py).
    meeting = client_meets([trusting(pki.expired, to=tmp_path), "verifyPeer = yes"], pki.expired, version)
    assert meeting.error(meeting.client) == f"SSL_connect: {FAILED}"
    assert verdicts(meeting.client)[-2:] == [
        "CERT: Pre-verification error: certificate has expired",
        "Rejected by CERT at depth=0: CN=localhost",
    ]


@pytest.mark.parametrize("name", ["server", "stranger_server", "self_signed"])
def test_a_pinned_certificate_needs_no_chain(pki: Pki, version: str, tmp_path: Path, name: str) -> None:
    peer: Identity = getattr(pki, name)
    meeting = client_meets([trusting(peer, to=tmp_path), "verifyPeer = yes"], peer, version)
    assert meeting.agreed
    assert f"Certificate accepted at depth=0: CN={peer.subject}" in verdicts(meeting.client)


@pytest.mark.parametrize("name", ["server_rsa", "self_signed", "stranger_server"])
def test_only_the_pinned_certificate_is_good_whatever_it_says(
    pki: Pki, version: str, tmp_path: Path, name: str
) -> None:
    demands = [trusting(pki.server, ca=pki.ca, to=tmp_path), "verifyPeer = yes"]
    meeting = client_meets(demands, getattr(pki, name), version)
    assert meeting.error(meeting.client) == f"SSL_connect: {FAILED}"
    reason = "Pre-verification error: self-signed certificate" if name == "self_signed" else NOT_LOCAL
    assert verdicts(meeting.client)[-2:] == [f"CERT: {reason}", "Rejected by CERT at depth=0: CN=localhost"]


def test_a_pinned_certificate_is_accepted_once_in_the_log(pki: Pki, version: str, tmp_path: Path) -> None:
    meeting = client_meets([trusting(pki.self_signed, to=tmp_path), "verifyPeer = yes"], pki.self_signed, version)
    assert verdicts(meeting.client).count("Certificate accepted at depth=0: CN=localhost") == 1


def test_pinned_and_chained_both_have_to_hold(pki: Pki, version: str, tmp_path: Path) -> None:
    demands = [trusting(pki.client, pki.stranger_client, ca=pki.ca, to=tmp_path), "verify = 3"]
    assert server_meets(demands, pki, pki.client, version).agreed
    meeting = server_meets(demands, pki, pki.stranger_client, version)
    assert meeting.error(meeting.server) == f"SSL_accept: {FAILED}"
    unpinned = pki.authority.issue(Wish(name="bob", client=True))
    meeting = server_meets(demands, pki, unpinned, version)
    assert f"CERT: {NOT_LOCAL}" in verdicts(meeting.server)


class TestPinnedDirectory:
    """verifyPeer with CApath: files under the subject's hash, numbered where hashes collide."""

    @staticmethod
    def hashed(directory: Path, identity: Identity, number: int) -> Path:
        """The file's name."""
        return directory / f"{X509.from_cryptography(identity.certificate).subject_name_hash():08x}.{number}"

    def test_all_numbers_are_looked_at(self, pki: Pki, version: str, tmp_path: Path) -> None:
        for number, identity in enumerate((pki.server_rsa, pki.self_signed)):
            self.hashed(tmp_path, identity, number).write_bytes(identity.cert.read_bytes())
        demands = [f"CApath = {tmp_path}", "verifyPeer = yes"]
        assert client_meets(demands, pki.self_signed, version).agreed
        meeting = client_meets(demands, pki.server, version)
        assert f"CERT: {NOT_LOCAL}" in verdicts(meeting.client)

    def test_a_broken_file_does_not_hide_the_next(self, pki: Pki, version: str, tmp_path: Path) -> None:
        self.hashed(tmp_path, pki.server, 0).write_text("no certificate")
        self.hashed(tmp_path, pki.server, 1).write_bytes(pki.server.cert.read_bytes())
        assert client_meets([f"CApath = {tmp_path}", "verifyPeer = yes"], pki.server, version).agreed

    def test_a_certificate_that_is_added_later_is_found(self, pki: Pki, version: str, tmp_path: Path) -> None:
        demands = [f"CApath = {tmp_path}", "verifyPeer = yes"]
        compiled = context.build(service(*demands, client=True))
        theirs = server(version, *presenting(pki.server))
        assert not Meeting(compiled.engine(), theirs).shake().agreed
        self.hashed(tmp_path, pki.server, 0).write_bytes(pki.server.cert.read_bytes())
        assert Meeting(compiled.engine(), server(version, *presenting(pki.server))).shake().agreed


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), ("no certificate", "if it is DER"), ("", "no certificate")],
)
def test_trust_that_cannot_be_read_is_named(pki: Pki, tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    for demand in ("verifyChain = yes", "verifyPeer = yes"):
        for client_side in (True, False):
            settings = service(f"CAfile = {file}", demand, *presenting(pki.server), client=client_side)
            with pytest.raises(TlsSetupError, match=reason) as caught:
                context.build(settings)
            assert str(file) in str(caught.value)


def matches(identity: Identity, *lines: str) -> bool:
    """Whether a certificate passes these checks."""
    settings = service("CAfile = /x", "verifyChain = yes", *lines, client=True).verification
    return subject_matches(settings, X509.from_cryptography(identity.certificate))


@pytest.fixture(scope="session")
def many(pki: Pki) -> Identity:
    """A certificate with names of all kinds."""
    return pki.authority.issue(
        Wish(
            name="cn.example.org",
            dns=["www.example.org", "*.wild.example.org"],
            ips=["192.0.2.1", "2001:db8::1"],
            emails=["Alice@Example.ORG"],
        )
    )


@pytest.fixture(scope="session")
def common(pki: Pki) -> Identity:
    """A certificate with a common name and nothing else."""
    return pki.authority.issue(Wish(name="cn.example.org"))


@pytest.mark.parametrize(
    ("host", "good"),
    [
        ("www.example.org", True),
        ("WWW.Example.Org", True),
        ("a.wild.example.org", True),
        ("wild.example.org", False),
        ("a.b.wild.example.org", False),
        ("example.org", False),
        ("www.example.org.evil.test", False),
        ("cn.example.org", False),  # the subject does not count beside alternative names (RFC 6125, 6.4.4)
        ("192.0.2.1", False),
    ],
)
def test_hosts_by_alternative_names(many: Identity, host: str, *, good: bool) -> None:
    assert matches(many, f"checkHost = {host}") is good


def test_hosts_by_common_name_where_there_is_nothing_better(common: Identity) -> None:
    assert matches(common, "checkHost = cn.example.org")
    assert matches(common, "checkHost = CN.EXAMPLE.org")
    assert not matches(common, "checkHost = www.example.org")


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("2001:db8::1", True),
        ("2001:0DB8:0:0::0001", True),
        ("2001:db8::2", False),
        ("::ffff:192.0.2.1", False),
    ],
)
def test_addresses(many: Identity, address: str, *, good: bool) -> None:
    assert matches(many, f"checkIP = {address}") is good


@pytest.mark.parametrize(
    ("email", "good"),
    [
        ("Alice@example.org", True),
        ("Alice@EXAMPLE.org", True),
        ("alice@example.org", False),
        ("Alice@example.com", False),
        ("example.org", False),
    ],
)
def test_emails_fold_the_domain_only(many: Identity, email: str, *, good: bool) -> None:
    assert matches(many, f"checkEmail = {email}") is good


def test_any_one_check_of_any_kind_is_enough(many: Identity) -> None:
    wrong = ("checkHost = no.example", "checkIP = 192.0.2.9", "checkEmail = no@example.org")
    assert not matches(many, *wrong)
    for right in ("checkHost = www.example.org", "checkIP = 192.0.2.1", "checkEmail = Alice@example.org"):
        assert matches(many, *wrong, right)
        assert matches(many, right, *wrong)


def test_nothing_to_check_is_good(many: Identity) -> None:
    assert matches(many)


def named(attributes: "list[x509.NameAttribute[str]]") -> X509:
    """A self-signed certificate with this subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name(attributes), datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return X509.from_cryptography(builder.sign(key, hashes.SHA256()))


def test_an_email_in_the_subject_counts_where_there_is_nothing_better() -> None:
    certificate = named([x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "bob@Example.org")])
    settings = service("CAfile = /x", "verifyChain = yes", "checkEmail = bob@example.ORG", client=True).verification
    assert subject_matches(settings, certificate)


def test_a_subject_reads_as_in_stunnel_s_log() -> None:
    certificate = named(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "PL"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Zażółć"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "host"),
            x509.NameAttribute(x509.NameOID.EMAIL_ADDRESS, "a@b.example"),
        ]
    )
    assert subject_text(certificate) == "C=PL, O=Zażółć, CN=host, emailAddress=a@b.example"


def test_a_subject_cannot_pretend_to_be_two() -> None:
    certificate = named([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mallory, O=Bank")])
    assert subject_text(certificate) == r"CN=mallory\, O=Bank"


def test_a_subject_that_stricter_parsers_refuse_is_shown() -> None:
    # A T61String with Latin-1 in it, as old certificate authorities wrote them; cryptography raises for it.
    der = (
        named([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cafe")])
        .to_cryptography()
        .public_bytes(serialization.Encoding.DER)
    )
    certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, der.replace(b"\x0c\x04cafe", b"\x14\x04caf\xe9"))
    with pytest.raises(ValueError, match=r"utf-8|parsing|invalid"):
        assert certificate.to_cryptography().subject.rfc4514_string()
    assert subject_text(certificate) == "CN=café"
    settings = service("CAfile = /x", "verifyChain = yes", "checkEmail = a@b.example", client=True).verification
    assert not subject_matches(settings, certificate)


def test_a_bug_lets_nobody_pass_and_is_told(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise RuntimeError("oh no")

    monkeypatch.setattr("gtunnel.tls.verification.subject_text", fail)
    lines = (*presenting(pki.server), f"CAfile = {pki.ca}", "verifyChain = yes", "redirect = 1")
    meeting = Meeting(client(*presenting(pki.client)), server(*lines)).shake()
    assert "certificate verify failed" in meeting.error(meeting.server)
    assert verdicts(meeting.server)[-1] == "INTERNAL ERROR: RuntimeError: oh no"
