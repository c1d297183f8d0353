"""PKCS#12 files as openssl(1) writes them."""

import subprocess
from pathlib import Path

import pytest

from gtunnel.tls import bundle
from gtunnel.tls.passphrases import LockedError, Passphrases
from tests.support import needs
from tests.support.certificates import Authority, Pki, Wish

PHRASE = b"correct horse"


def exported(pki: Pki, directory: Path, phrase: str, *options: str) -> bytes:
    """The file."""
    file = directory / "x.p12"
    argv = [needs.program("openssl"), "pkcs12", "-export", "-in", str(pki.server.pem), "-out", str(file)]
    subprocess.run([*argv, "-passout", f"pass:{phrase}", *options], check=True, capture_output=True)
    return file.read_bytes()


@pytest.mark.parametrize("phrase", ["", PHRASE.decode()])
def test_a_file_of_openssl_is_opened(pki: Pki, tmp_path: Path, phrase: str) -> None:
    content = exported(pki, tmp_path, phrase)
    assert bundle.is_bundle(content[: bundle.HEAD_BYTES])
    held = bundle.open_bundle("x.p12", content, Passphrases(lambda _: PHRASE))
    assert held.certificate == pki.server.certificate
    assert held.issuers == [pki.authority.certificate]
    assert b"PRIVATE KEY" in held.key


def test_nothing_else_looks_like_one(pki: Pki) -> None:
    for content in (pki.server.pem.read_bytes(), b"", b"0", b"\x30\x82\x01\x02\x30\x82\x02\x01\x03"):
        assert not bundle.is_bundle(content)


def test_one_without_a_key_says_so(pki: Pki, tmp_path: Path) -> None:
    content = exported(pki, tmp_path, "", "-nokeys")
    with pytest.raises(bundle.BundleError):
        bundle.open_bundle("x.p12", content, Passphrases())


def test_damage_is_no_traceback(pki: Pki, tmp_path: Path) -> None:
    content = exported(pki, tmp_path, PHRASE.decode())
    for damaged in (content[:200], content[:-1], content[:100] + b"\xff" * 50 + content[150:]):
        with pytest.raises(LockedError):
            bundle.open_bundle("x.p12", damaged, Passphrases(lambda _: PHRASE))


def test_the_chain_is_put_in_order(pki: Pki, tmp_path: Path) -> None:
    one = Authority(tmp_path, "one", pki.authority)
    two = Authority(tmp_path, "two", one)
    leaf = two.issue(Wish(name="localhost"))
    others = [pki.authority.certificate, pki.client.certificate, one.certificate, two.certificate]
    ordered = bundle._in_order(leaf.certificate, others)
    assert ordered == [two.certificate, one.certificate, pki.authority.certificate, pki.client.certificate]
