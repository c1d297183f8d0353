import subprocess
from pathlib import Path

import pytest
from OpenSSL import crypto

from gtunnel.tls import algorithms
from tests.support import needs
from tests.support.certificates import Pki, Wish


@pytest.mark.parametrize(("algorithm", "key"), [("ec", "EC256"), ("rsa", "RSA2048")])
def test_what_a_certificate_is_made_with(pki: Pki, algorithm: str, key: str) -> None:
    identity = pki.authority.issue(Wish(name="x", algorithm=algorithm))
    certificate = crypto.X509.from_cryptography(identity.certificate)
    assert algorithms.key(certificate) == key
    assert algorithms.signature(certificate) == "ecdsa-with-SHA256"


def test_a_self_signed_rsa_certificate(tmp_path: Path) -> None:
    key, cert = tmp_path / "key", tmp_path / "cert"
    command = f"req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {cert} -subj /CN=me -sha256"
    subprocess.run([needs.program("openssl"), *command.split()], check=True, capture_output=True, timeout=60)
    certificate = crypto.load_certificate(crypto.FILETYPE_PEM, cert.read_bytes())
    assert algorithms.signature(certificate) == "RSA-SHA256"
    assert algorithms.key(certificate) == "RSA2048"
