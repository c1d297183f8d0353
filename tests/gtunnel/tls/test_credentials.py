"""Certificates and keys: what is presented, and what is said of files that cannot be."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.passphrases import Ask, Passphrases
from gtunnel.tls.site import Site
from tests.gtunnel.tls.pairs import client, met, presenting, server, service
from tests.support import needs
from tests.support.certificates import Authority, Identity, Pki, Wish

PHRASE = b"correct horse"
FORMS = [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]


def refusal(*lines: str, client_side: bool = False, site: Site | None = None) -> str:
    """Why a service with these lines is not compiled."""
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, client=client_side), site)
    return str(caught.value)


def answering(asked: list[str], *answers: bytes) -> Ask:
    """Somebody who answers in this order; `asked` gets the prompts."""
    left = iter(answers)

    def ask(prompt: str) -> bytes:
        asked.append(prompt)
        return next(left)

    return ask


def encrypted_key(
    identity: Identity, file: Path, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8
) -> Path:
    """A key with a passphrase."""
    encryption = serialization.BestAvailableEncryption(PHRASE)
    file.write_bytes(private_key(identity).private_bytes(serialization.Encoding.PEM, form, encryption))
    return file


def pkcs12_file(identity: Identity, file: Path, phrase: bytes | None, others: list[x509.Certificate]) -> Path:
    """A bundle."""
    encryption = serialization.BestAvailableEncryption(phrase) if phrase else serialization.NoEncryption()
    key = private_key(identity)
    file.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, identity.certificate, others, encryption))
    return file


def openssl(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run openssl(1)."""
    argv = [needs.program("openssl"), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


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
    assert refusal(f"cert = {file}") == f"cert = {file}: neither PEM nor PKCS#12"


@pytest.mark.parametrize("form", FORMS)
def test_an_encrypted_key_is_opened_with_a_passphrase_that_is_asked_for_once(
    pki: Pki, tmp_path: Path, form: serialization.PrivateFormat
) -> None:
    file = encrypted_key(pki.server, tmp_path / "secret.pem", form)
    asked: list[str] = []
    site = Site(Passphrases(answering(asked, b"wrong", PHRASE)))
    lines = (f"cert = {pki.server.cert}", f"key = {file}")
    for _ in range(3):
        met(client(f"CAfile = {pki.ca}", "verifyChain = yes"), context.build(service(*lines), site).engine())
    prompt = f"Enter {file} pass phrase:"
    assert asked == [prompt, f"Wrong passphrase: retrying\n{prompt}"]


def test_an_encrypted_key_may_stand_beside_the_certificate(pki: Pki, tmp_path: Path) -> None:
    file = encrypted_key(pki.server, tmp_path / "both.pem")
    file.write_bytes(pki.server.cert.read_bytes() + file.read_bytes())
    site = Site(Passphrases(answering([], PHRASE)))
    met(client(), context.build(service(f"cert = {file}"), site).engine())


@pytest.mark.parametrize("form", FORMS)
def test_an_encrypted_key_whose_passphrase_nobody_knows_is_named(
    pki: Pki, tmp_path: Path, form: serialization.PrivateFormat
) -> None:
    file = encrypted_key(pki.server, tmp_path / "secret.pem", form)
    lines = (f"cert = {pki.server.cert}", f"key = {file}")
    start = f"key = {file}: cannot unlock the private key: "
    assert refusal(*lines) == f"{start}its passphrase is asked for at start only: restart"
    asked: list[str] = []
    site = Site(Passphrases(answering(asked, *[b"hunter2"] * 9)))
    assert refusal(*lines, site=site) == f"{start}wrong passphrase"
    assert len(asked) == 3


@pytest.mark.parametrize("phrase", [None, PHRASE])
def test_pkcs12_brings_certificate_chain_and_key(pki: Pki, tmp_path: Path, phrase: bytes | None) -> None:
    below = Authority(tmp_path, "below", pki.authority)
    leaf = below.issue(Wish(name="localhost", dns=["localhost"]))
    file = pkcs12_file(leaf, tmp_path / "x.p12", phrase, [pki.authority.certificate, below.certificate])
    site = Site(Passphrases(answering([], PHRASE)))
    # What key says does not matter then, as in stunnel.
    for more in ((), (f"key = {pki.client.key}",)):
        compiled = context.build(service(f"cert = {file}", *more), site)
        # The issuer's certificate has to come along, or the chain would lead nowhere.
        met(client(f"CAfile = {pki.ca}", "verifyChain = yes"), compiled.engine())


def test_pkcs12_that_cannot_be_used_is_named(pki: Pki, tmp_path: Path) -> None:
    file = pkcs12_file(pki.server, tmp_path / "x.p12", PHRASE, [])
    site = Site(Passphrases(answering([], *[b"no"] * 3)))
    assert refusal(f"cert = {file}", site=site) == f"cert = {file}: cannot unlock it: wrong passphrase"
    alone = tmp_path / "alone.p12"
    key = serialization.load_pem_private_key(pki.server.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    alone.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, None, None, serialization.NoEncryption()))
    assert refusal(f"cert = {alone}") == f"cert = {alone}: no certificate that belongs to its key in it"


def test_der_is_refused_with_the_way_out_of_it(pki: Pki, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.der", tmp_path / "key.der"
    cert.write_bytes(pki.server.certificate.public_bytes(serialization.Encoding.DER))
    key.write_bytes(
        private_key(pki.server).private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    assert refusal(f"cert = {cert}", f"key = {key}").splitlines() == [
        f"cert = {cert}: neither PEM nor PKCS#12; if it is DER: openssl x509 -inform DER -in {cert} -out FILE.pem",
        f"key = {key}: not a PEM file; if it is DER: openssl pkey -inform DER -in {key} -out FILE.pem",
    ]


def test_of_repeated_lines_the_last_one_counts_as_in_stunnel(pki: Pki) -> None:
    lines = (*presenting(pki.server_rsa), *presenting(pki.server))
    meeting = met(client("sslVersionMax = TLSv1.2"), server(*lines))
    assert "ECDSA" in meeting.client.negotiated().cipher


def test_ed25519_is_a_key_like_the_others(tmp_path: Path) -> None:
    cert, key = tmp_path / "ed.crt", tmp_path / "ed.key"
    made = openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=ed", "-keyout", key, "-out", cert)
    assert made.returncode == 0, made.stderr
    met(client(f"CAfile = {cert}", "verifyPeer = yes"), server(f"cert = {cert}", f"key = {key}"))


def test_a_key_that_is_too_weak_is_named_with_openssl_s_reason(tmp_path: Path) -> None:
    cert, key = tmp_path / "weak.crt", tmp_path / "weak.key"
    made = openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=w", "-keyout", key, "-out", cert)
    assert made.returncode == 0, made.stderr
    assert "ee key too small" in refusal(f"cert = {cert}", f"key = {key}")


class TestDiffieHellman:
    """DHE, where the ciphers ask for it."""

    CIPHERS = ("ciphers = DHE-RSA-AES256-GCM-SHA384", "sslVersionMax = TLSv1.2")

    def test_well_known_parameters_are_there_without_any_of_our_own(self, pki: Pki) -> None:
        meeting = met(client(*self.CIPHERS), server(*presenting(pki.server_rsa), *self.CIPHERS))
        assert meeting.client.negotiated().cipher.startswith("DHE-RSA")

    def test_parameters_in_the_certificate_s_file_are_used(self, pki: Pki, tmp_path: Path) -> None:
        file = tmp_path / "both.pem"
        parameters = openssl("dhparam", "-dsaparam", "2048").stdout
        file.write_text(pki.server_rsa.pem.read_text() + parameters)
        meeting = met(client(*self.CIPHERS), server(f"cert = {file}", *self.CIPHERS))
        assert meeting.client.negotiated().cipher.startswith("DHE-RSA")

    def test_parameters_that_are_too_weak_are_named(self, pki: Pki, tmp_path: Path) -> None:
        file = tmp_path / "both.pem"
        parameters = openssl("dhparam", "-dsaparam", "1024").stdout
        file.write_text(pki.server_rsa.pem.read_text() + parameters)
        assert "Diffie-Hellman parameters: SSL routines::dh key too small" in refusal(f"cert = {file}", *self.CIPHERS)
        # Nobody looks at them where no cipher asks for them, as in stunnel.
        met(client(), server(f"cert = {file}"))


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


def test_a_certificate_file_without_a_certificate(pki: Pki) -> None:
    assert refusal(f"cert = {pki.server.key}") == f"cert = {pki.server.key}: no certificate in it"


def test_a_key_file_without_a_key(pki: Pki) -> None:
    text = refusal(f"cert = {pki.server.cert}", f"key = {pki.client.cert}")
    assert text == f"key = {pki.client.cert}: no private key in it"
