"""Certificates and keys: what is presented, and what is said of files that cannot be."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from tests.gtunnel.tls.pairs import client, met, presenting, server, service
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
