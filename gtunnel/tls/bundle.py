"""PKCS#12 (RFC 7292): a certificate, its chain and its key in one file, mostly with a passphrase."""

import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from gtunnel.errors import GtunnelError
from gtunnel.tls.passphrases import Passphrases, WrongPassphraseError
from gtunnel.values import dataclass

# Every such file begins with a SEQUENCE and the version, an INTEGER that is 3 (RFC 7292, section 4); the length between
# them has up to five bytes. A certificate has another SEQUENCE there, a bare key another number.
_HEAD: Final = re.compile(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...|\x84....)\x02\x01\x03", re.DOTALL)

# So much of a file tells.
HEAD_BYTES: Final = 16


class BundleError(GtunnelError):
    """A file that opens, and lacks something."""

    template = "{reason}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was in it. `key` is PEM, no longer encrypted; `issuers` begins with the certificate's own."""

    certificate: x509.Certificate
    issuers: list[x509.Certificate]
    key: bytes


def is_bundle(content: bytes) -> bool:
    """Whether it looks like PKCS#12."""
    return _HEAD.match(content) is not None


def open_bundle(file: str, content: bytes, passphrases: Passphrases) -> Bundle:
    """Open it, without a passphrase if that does. Raises `LockedError` and `BundleError`."""
    try:
        held = _load(content, b"")
    except WrongPassphraseError:
        held = passphrases.unlock(file, lambda phrase: _load(content, phrase))
    if held.cert is None:
        raise BundleError(reason="no certificate that belongs to its key in it")
    if held.key is None:
        raise BundleError(reason="no private key in it")
    key = held.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    others = [one.certificate for one in held.additional_certs]
    return Bundle(held.cert.certificate, _in_order(held.cert.certificate, others), key)


def _load(content: bytes, phrase: bytes) -> pkcs12.PKCS12KeyAndCertificates:
    try:
        return pkcs12.load_pkcs12(content, phrase)
    except ValueError as error:
        # It cannot be told from damage: what authenticates the content is made of the passphrase.
        raise WrongPassphraseError from error


def _in_order(leaf: x509.Certificate, others: list[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf's issuer first, then its issuer: TLS 1.2 demands it (RFC 5246, section 7.4.2), files keep no order.

    What belongs to nobody's chain comes last, as it is in the file.
    """
    rest, chain, last = list(others), [], leaf
    while issuer := next((one for one in rest if one.subject == last.issuer), None):
        rest.remove(issuer)
        chain.append(issuer)
        last = issuer
    return chain + rest
