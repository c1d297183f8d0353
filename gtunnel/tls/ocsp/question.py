"""A question about one certificate: the request (RFC 6960, section 4.1), and whether an answer is about the same."""

import os
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from gtunnel.address import HttpUrl, parse_http_url
from gtunnel.errors import AddressError
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.values import dataclass

# RFC 8954, section 2.1: 32 bytes is what clients should send.
NONCE_BYTES: Final = 32
# A certificate that names more responders than this wants something else than to be checked.
MAX_RESPONDERS: Final = 4

# What certIDs are made with in practice (RFC 5019, section 2.1.1, wants SHA-1, which nothing depends on here).
CertIdHash = hashes.SHA1 | hashes.SHA224 | hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True, slots=True)
class Question:
    """Has `certificate` been revoked by `issuer`? `request` is what a responder gets; `nonce` is in it, if any."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    request: bytes
    nonce: bytes | None

    def is_answered_by(self, single: ocsp.OCSPSingleResponse) -> bool:
        """Whether an answer is about our certificate, with whatever hash it names the issuer."""
        # Cheap and different for almost all: most answers have one certificate in them, some have thousands.
        if single.serial_number != self.certificate.serial_number:
            return False
        algorithm = single.hash_algorithm
        if not isinstance(algorithm, CertIdHash):
            return False
        ours = _builder(self.certificate, self.issuer, algorithm).build()
        return (ours.issuer_name_hash, ours.issuer_key_hash) == (single.issuer_name_hash, single.issuer_key_hash)


def ask(certificate: x509.Certificate, issuer: x509.Certificate, *, nonce: bool) -> Question:
    """Make a question. Raises `InconclusiveError` for a certificate that cannot be asked about."""
    value = os.urandom(NONCE_BYTES) if nonce else None
    try:
        builder = _builder(certificate, issuer, hashes.SHA1())  # noqa: S303 - a name for the issuer, not a proof
        if value is not None:
            builder = builder.add_extension(x509.OCSPNonce(value), critical=False)
        request = builder.build().public_bytes(Encoding.DER)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InconclusiveError(reason=f"the certificate cannot be asked about: {error}") from error
    return Question(certificate, issuer, request, value)


def responders(certificate: x509.Certificate) -> tuple[HttpUrl | InconclusiveError, ...]:
    """The responders that a certificate names (RFC 5280, section 4.2.2.1); an error for each that cannot be asked."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        return (InconclusiveError(reason=f"the certificate's extensions cannot be read: {error}"),)
    named = [
        _responder(entry.access_location.value)
        for entry in access
        if entry.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(entry.access_location, x509.UniformResourceIdentifier)
    ]
    return tuple(named[:MAX_RESPONDERS])


def _responder(text: str) -> HttpUrl | InconclusiveError:
    try:
        return parse_http_url(text, no_tls="TLS not supported for OCSP")
    except AddressError as error:
        return InconclusiveError(reason=f"AIA responder: {error}")


def _builder(certificate: x509.Certificate, issuer: x509.Certificate, algorithm: CertIdHash) -> ocsp.OCSPRequestBuilder:
    return ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, algorithm)
