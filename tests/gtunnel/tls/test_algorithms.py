import pytest
from OpenSSL import crypto

from gtunnel.tls import algorithms
from tests.support.certificates import Pki, Wish


@pytest.mark.parametrize(("algorithm", "key"), [("ec", "EC256"), ("rsa", "RSA2048")])
def test_what_a_certificate_is_made_with(pki: Pki, algorithm: str, key: str) -> None:
    identity = pki.authority.issue(Wish(name="x", algorithm=algorithm))
    certificate = crypto.X509.from_cryptography(identity.certificate)
    assert algorithms.key(certificate) == key
    assert algorithms.signature(certificate) == "ecdsa-with-SHA256"
