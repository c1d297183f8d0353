import datetime
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.x509 import ocsp
from cryptography.x509.oid import SignatureAlgorithmOID

from gtunnel.tls.ocsp import signature
from gtunnel.tls.ocsp.errors import InconclusiveError
from tests.gtunnel.tls.ocsp.cases import question, world
from tests.support import needs
from tests.support.revocation import DAY, Records, Saying, pem

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


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_rsa_pss_is_checked(digest: str, tmp_path: Path) -> None:
    here = world()
    keys = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    name, now = here.leaf.certificate.subject, datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + DAY).public_key(keys[0].public_key())
    (tmp_path / "signer.pem").write_bytes(pem(builder.sign(keys[0], hashes.SHA256())))
    (tmp_path / "key.pem").write_bytes(
        keys[0].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (tmp_path / "ca.pem").write_bytes(pem(here.sub.certificate))
    (tmp_path / "request").write_bytes(question().request)
    Records({here.leaf.certificate: "V"}).write(tmp_path / "index")
    options = "-index index -CA ca.pem -rsigner signer.pem -rkey key.pem -reqin request -respout answer -ndays 1"
    scheme = f"-rmd {digest} -rsigopt rsa_padding_mode:pss"
    argv = [needs.program("openssl"), "ocsp", *options.split(), *scheme.split()]
    subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)
    answer = ocsp.load_der_ocsp_response((tmp_path / "answer").read_bytes())
    assert answer.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS
    signature.check(answer, keys[0].public_key())
    for other in (keys[1], ec.generate_private_key(ec.SECP256R1())):
        with pytest.raises(InconclusiveError):
            signature.check(answer, other.public_key())
