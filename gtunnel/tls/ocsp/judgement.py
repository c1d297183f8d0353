"""What an answer is worth: RFC 6960, section 3.2, with the steps and the flags of OpenSSL's OCSP_basic_verify(3).

    the signer is found           among the peer's chain (known to the asker), else in the answer itself
      NOINTERN                    not in the answer
    its signature is checked
      NOSIGS                      it is not
    its chain leads to our trust
      NOVERIFY                    wherever it leads
      NOCHAIN                     only our trust makes the chain, not the certificates in the answer or of the peer
      TRUSTOTHER                  signers of the peer's chain are trusted as they are
    it may speak for the issuer   it is the issuer, or has the issuer's delegation (OCSPSigning)
      NOCHECKS                    whoever our trust knows may speak

What OpenSSL's function makes nothing of makes nothing here: NOCERTS, NOTIME, RESPID_KEY (they are for responders), and
NOCASIGN, NODELEGATED, which no OpenSSL looks at. NOEXPLICIT leaves out a root that is trusted explicitly for OCSP (a
"TRUSTED CERTIFICATE" in CAfile): gtunnel knows of no such roots, so it is always left out.
"""

import datetime
from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from gtunnel.conf.settings import OcspFlag
from gtunnel.tls.ocsp import signature
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.moments import Moment, moment
from gtunnel.tls.ocsp.question import Question
from gtunnel.values import dataclass

# Answers are a few kilobytes, with the signer's chain in them.
MAX_ANSWER_BYTES: Final = 64 * 1024
# An answer is about one certificate, rarely about some more; and it carries a chain, not a collection.
MAX_SINGLE_ANSWERS: Final = 64
MAX_EMBEDDED_CERTIFICATES: Final = 16
# How far the responder's clock and ours may differ.
LEEWAY: Final = datetime.timedelta(minutes=5)

# What reading rubbish ends with: in cryptography, and in OpenSSL, which reads the certificates of an answer once more.
_UNREADABLE: Final = (
    *(ValueError, TypeError, KeyError, OverflowError),
    *(UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, crypto.Error),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What answers are measured with: `flags`, and the trust that signers have to lead to (None: none is needed, as for
    a staple about ourselves)."""

    flags: frozenset[OcspFlag]
    trust: crypto.X509Store | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a good answer says. Times are UTC; without `ends` newer answers are to be had at any time."""

    status: ocsp.OCSPCertStatus
    begins: Moment
    ends: Moment | None
    revoked: Moment | None
    reason: x509.ReasonFlags | None

    @property
    def good(self) -> bool:
        """Not revoked."""
        return self.status is ocsp.OCSPCertStatus.GOOD


def judge(answer: bytes, question: Question, chain: Sequence[x509.Certificate], terms: Terms, now: Moment) -> Judgement:
    """Read an answer to `question`; `chain` is what the peer showed. Raises `InconclusiveError` for whatever is wrong.

    A judgement is conclusive, good or revoked: that a responder does not know the certificate is an error as well.
    """
    if not 0 < len(answer) <= MAX_ANSWER_BYTES:
        raise InconclusiveError(reason=f"an answer of {len(answer)} bytes is none")
    try:
        return _judge(answer, question, chain, terms, now)
    except _UNREADABLE as error:
        raise InconclusiveError(reason=f"the answer cannot be read: {error}") from error


def _judge(
    answer: bytes, question: Question, chain: Sequence[x509.Certificate], terms: Terms, now: Moment
) -> Judgement:
    response = ocsp.load_der_ocsp_response(answer)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        status = response.response_status
        raise InconclusiveError(reason=f"Responder error: {status.value}: {status.name.lower().replace('_', '')}")
    _check_nonce(response, question)
    _check_signer(response, question, chain, terms)
    return _read(_single(response, question), now)


def _check_nonce(response: ocsp.OCSPResponse, question: Question) -> None:
    if question.nonce is None:
        return
    try:
        nonce = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        nonce = None
    # Older libraries keep the octet string's header (RFC 8954, section 2.1) in the value.
    if nonce is None or question.nonce not in (nonce, nonce[2:] if nonce[:2] == bytes((4, len(nonce) - 2)) else nonce):
        raise InconclusiveError(reason="Invalid or unsupported nonce")


def _check_signer(
    response: ocsp.OCSPResponse, question: Question, chain: Sequence[x509.Certificate], terms: Terms
) -> None:
    flags = terms.flags
    others = [*chain, question.issuer]
    embedded = response.certificates[:MAX_EMBEDDED_CERTIFICATES]
    signer = next((one for one in others if _is_named(response, one)), None)
    unverified = OcspFlag.NOVERIFY in flags or (signer is not None and OcspFlag.TRUSTOTHER in flags)
    if signer is None and OcspFlag.NOINTERN not in flags:
        signer = next((one for one in embedded if _is_named(response, one)), None)
    if signer is None:
        raise InconclusiveError(reason="signer certificate not found")
    if OcspFlag.NOSIGS not in flags:
        signature.check(response, signer.public_key())
    if unverified:
        return
    if terms.trust is not None:
        _check_chain(signer, [] if OcspFlag.NOCHAIN in flags else [*embedded, *others], terms.trust)
    if OcspFlag.NOCHECKS not in flags:
        _check_authority(signer, question.issuer)


def _is_named(response: ocsp.OCSPResponse, candidate: x509.Certificate) -> bool:
    """Whether the answer's responder id (by name, or by the key's SHA-1) means a certificate."""
    key_hash = response.responder_key_hash
    if key_hash is None:
        return candidate.subject == response.responder_name
    return x509.SubjectKeyIdentifier.from_public_key(candidate.public_key()).digest == key_hash


def _check_chain(signer: x509.Certificate, untrusted: Sequence[x509.Certificate], trust: crypto.X509Store) -> None:
    others = [crypto.X509.from_cryptography(one) for one in untrusted]
    try:
        crypto.X509StoreContext(trust, crypto.X509.from_cryptography(signer), others or None).verify_certificate()
    except crypto.X509StoreContextError as error:
        raise InconclusiveError(reason=f"signer's certificate verify error: {error}") from error


def _check_authority(signer: x509.Certificate, issuer: x509.Certificate) -> None:
    """RFC 6960, section 4.2.2.2: the issuer itself, or a certificate that it issued for this purpose directly."""
    if signer.subject == issuer.subject and _key(signer) == _key(issuer):
        return
    if signer.issuer != issuer.subject or not _has_signed(issuer, signer):
        raise InconclusiveError(reason="the signer does not speak for the certificate's issuer (root ca not trusted)")
    try:
        usages = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usages:
        raise InconclusiveError(reason="missing ocspsigning usage")


def _key(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    store = crypto.X509Store()
    store.add_cert(crypto.X509.from_cryptography(issuer))
    # An intermediate CA is enough: who is above it is not the question here. Nor is when: the chain's check said that,
    # and where none is made (NOVERIFY), none is wanted.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(certificate)).verify_certificate()
    except crypto.X509StoreContextError:
        return False
    return True


def _single(response: ocsp.OCSPResponse, question: Question) -> ocsp.OCSPSingleResponse:
    for number, single in enumerate(response.responses):
        if number >= MAX_SINGLE_ANSWERS:
            break
        if question.is_answered_by(single):
            return single
    raise InconclusiveError(reason="the answer is not about the certificate that was asked about")


def _read(single: ocsp.OCSPSingleResponse, now: Moment) -> Judgement:
    begins, ends = moment(single, "this_update"), moment(single, "next_update")
    if begins is None or begins > now + LEEWAY:
        raise InconclusiveError(reason=f"the answer is not valid before {begins}")
    if ends is not None and ends < now - LEEWAY:
        raise InconclusiveError(reason=f"the answer has expired at {ends}")
    if ends is not None and ends < begins:
        raise InconclusiveError(reason="the answer ends before it begins")
    if single.certificate_status is ocsp.OCSPCertStatus.UNKNOWN:
        raise InconclusiveError(reason="Unknown verification status")
    return Judgement(
        status=single.certificate_status,
        begins=begins,
        ends=ends,
        revoked=moment(single, "revocation_time"),
        reason=single.revocation_reason,
    )
