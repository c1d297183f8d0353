import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.x509 import ocsp

from gtunnel.tls.ocsp import signature
from gtunnel.tls.ocsp.errors import InconclusiveError
from tests.gtunnel.tls.ocsp.cases import world
from tests.support.revocation import DAY, Saying

KEYS = {
    "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EC": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


def signed(key: object) -> ocsp.OCSPResponse:
    """An answer that a key has signed."""
    here = world()
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=here.leaf.certificate,
        issuer=here.sub.certificate,
        algorithm=Saying().algorithm,
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now,
        next_update=None,
        revocation_time=None,
        revocation_reason=None,
    )
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) else hashes.SHA256()
    name = here.leaf.certificate.subject
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    certificate = certificate.not_valid_before(now).not_valid_after(now + DAY)
    own = certificate.public_key(key.public_key()).sign(key, algorithm)  # type: ignore[attr-defined,arg-type]
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, own)
    answer = builder.sign(key, algorithm)  # type: ignore[arg-type]
    return ocsp.load_der_ocsp_response(answer.public_bytes(serialization.Encoding.DER))


@pytest.mark.parametrize("kind", KEYS)
def test_every_kind_of_key_that_signs_answers_is_checked(kind: str) -> None:
    key, other = KEYS[kind](), KEYS[kind]()
    answer = signed(key)
    signature.check(answer, key.public_key())  # type: ignore[attr-defined]
    with pytest.raises(InconclusiveError, match="signature failure"):
        signature.check(answer, other.public_key())  # type: ignore[attr-defined]


def test_a_key_that_signs_nothing_is_refused() -> None:
    answer = signed(KEYS["EC"]())
    with pytest.raises(InconclusiveError, match="kind of key"):
        signature.check(answer, x25519.X25519PrivateKey.generate().public_key())


def test_one_kind_of_key_does_not_check_anothers_signature() -> None:
    answer = signed(KEYS["EC"]())
    for kind in ("RSA", "Ed25519"):
        with pytest.raises(InconclusiveError, match="signature failure"):
            signature.check(answer, KEYS[kind]().public_key())  # type: ignore[attr-defined]
