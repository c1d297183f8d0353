"""What is said of a certificate that does not convince, besides OpenSSL's reason."""

import datetime
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto

from gtunnel.tls.reasons import MAX_NAMES, explanation, mismatch, name_text
from tests.gtunnel.tls.pairs import Meeting, client, presenting, server, service, verdicts
from tests.support.certificates import Authority, Identity, Pki, Wish

HOUR = datetime.timedelta(hours=1)
EXPIRED, NOT_YET_VALID = 10, 9


def wrapped(certificate: x509.Certificate) -> crypto.X509:
    """As verification has it."""
    return crypto.load_certificate(crypto.FILETYPE_ASN1, certificate.public_bytes(Encoding.DER))


def lasting(start: datetime.datetime, end: datetime.datetime) -> crypto.X509:
    """A certificate that is valid from start to end."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(start).not_valid_after(end)
    return wrapped(builder.sign(key, hashes.SHA256()))


@pytest.mark.parametrize(
    ("hours", "span"), [(72, "3 days"), (47, "47 hours"), (1.5, "90 minutes"), (1 / 60, "60 seconds"), (0, "0 seconds")]
)
def test_how_long_ago_and_in_how_long(hours: float, span: str) -> None:
    now = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    past = lasting(now - 9999 * HOUR, now - hours * HOUR)
    assert explanation(past, EXPIRED, now).startswith(f"{span} ago, 2026-0")
    future = lasting(now + hours * HOUR, now + 9999 * HOUR)
    assert explanation(future, NOT_YET_VALID, now).startswith(f"in {span}, 2026-03-0")


def told(peer: Identity, *demands: str) -> str:
    """The line that says why a client refuses a server."""
    meeting = Meeting(client(*demands), server(*presenting(peer))).shake()
    assert not meeting.agreed
    (line,) = [line for line in verdicts(meeting.client) if line.startswith("CERT: ")]
    return line.removeprefix("CERT: ")


def test_an_administrator_is_told_what_to_act_on(pki: Pki, tmp_path: Path) -> None:
    demands = (f"CAfile = {pki.ca}", "verifyChain = yes")
    reason = "Pre-verification error: "
    assert re.fullmatch(
        rf"{reason}certificate has expired \((24|25) hours ago, \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)",
        told(pki.expired, *demands),
    )
    assert told(pki.client, *demands) == f"{reason}unsuitable certificate purpose (it is for clients)"
    text = told(pki.stranger_server, *demands)
    why = "it is not among the trusted ones: CN=stranger"
    assert text == f"{reason}self-signed certificate in certificate chain ({why})"
    text = told(pki.wrong_host, *demands, "checkHost = localhost", "checkIP = ::1")
    assert text == "Subject checks failed (it is for other.example.org, 192.0.2.99; wanted: localhost, ::1)"
    below = Authority(tmp_path, "below", pki.authority).issue(Wish(name="localhost"))
    below.cert.write_bytes(below.certificate.public_bytes(Encoding.PEM))
    text = told(below, *demands)
    assert text == (
        f"{reason}unable to get local issuer certificate (its issuer is neither trusted nor sent along: CN=below)"
    )
    lists = tmp_path / "lists.pem"
    lists.write_bytes(pki.authority.revocations(pki.server.certificate))
    text = told(pki.server, *demands, f"CRLfile = {lists}")
    assert text == f"{reason}certificate revoked (serial number {pki.server.certificate.serial_number:X})"
    lists.write_bytes(pki.stranger.revocations())
    text = told(pki.server, *demands, f"CRLfile = {lists}")
    assert text == f"{reason}unable to get certificate CRL (there is no list of CN=good)"
    lists.write_bytes(pki.authority.revocations(start=-9, end=-1))
    assert told(pki.server, *demands, f"CRLfile = {lists}") == f"{reason}CRL has expired (the list of CN=good)"


def test_a_long_list_of_names_is_shortened(pki: Pki) -> None:
    names = [f"host{number}.example.org" for number in range(100)]
    certificate = wrapped(pki.authority.issue(Wish(name="x", dns=names)).certificate)
    settings = service("verifyChain = yes", "CAfile = x", "checkHost = other", client=True).verification
    text = mismatch(certificate, settings)
    assert f"host{MAX_NAMES - 1}.example.org, and 92 more; wanted: other" in text


def test_a_certificate_without_alternative_names_is_for_its_common_name(pki: Pki) -> None:
    settings = service("verifyChain = yes", "CAfile = x", "checkHost = other", client=True).verification
    assert mismatch(wrapped(pki.authority.certificate), settings) == "it is for good; wanted: other"


def test_what_makes_a_value_look_like_two_is_escaped() -> None:
    assert name_text([("CN", "a, O=b"), ("C", "PL")]) == r"CN=a\, O=b, C=PL"


def test_other_errors_are_left_as_they_are(pki: Pki) -> None:
    assert explanation(wrapped(pki.server.certificate), 7) == ""
