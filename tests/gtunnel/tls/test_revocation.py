"""Revocation lists: what is said of files that are none. Whom they turn away: tests/integration/test_revocation.py."""

from pathlib import Path

import pytest

from gtunnel.tls import context
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.openssl import stores
from gtunnel.tls.revocation import passes
from gtunnel.tls.site import Site
from tests.gtunnel.tls.pairs import Meeting, client, met, presenting, server, service, verdicts
from tests.support.certificates import Authority, Pki, Wish


def refusal(*lines: str, site: Site | None = None) -> str:
    """Why a client with these lines is not compiled."""
    with pytest.raises(TlsSetupError) as caught:
        context.build(service(*lines, client=True), site)
    return str(caught.value)


def test_a_list_decides(pki: Pki, tmp_path: Path) -> None:
    authority = Authority(tmp_path, "it")
    good, bad = (authority.issue(Wish(name=name, dns=["localhost"])) for name in ("good", "bad"))
    lists = tmp_path / "lists.pem"
    # As some publish them: with text, certificates, and lists of others beside it.
    others = b"hello\n" + pki.ca.read_bytes() + pki.authority.revocations()
    lists.write_bytes(others + authority.revocations(bad.certificate))
    lines = (f"CAfile = {authority.ca_file}", "verifyChain = yes", f"CRLfile = {lists}")
    met(client(*lines), server(*presenting(good)))
    meeting = Meeting(client(*lines), server(*presenting(bad))).shake()
    assert not meeting.agreed
    assert any("certificate revoked" in text for text in verdicts(meeting.client))
    # A certificate in the file of lists is not trusted by that.
    assert not Meeting(client(*lines), server(*presenting(pki.server))).shake().agreed


def test_a_file_without_a_list_is_named(pki: Pki, tmp_path: Path) -> None:
    trust = (f"CAfile = {pki.ca}", "verifyChain = yes")
    assert refusal(*trust, f"CRLfile = {pki.ca}").startswith(f"CRLfile = {pki.ca}: no revocation list in PEM in it")
    file = tmp_path / "damaged.pem"
    for damaged in (b"AAAA", b"A", b"\xff\xfe", pki.authority.revocations().splitlines()[1][:40]):
        file.write_bytes(b"-----BEGIN X509 CRL-----\n" + damaged + b"\n-----END X509 CRL-----\n")
        assert refusal(*trust, f"CRLfile = {file}").startswith(f"CRLfile = {file}: ")


def test_a_directory_is_looked_for_where_it_will_be(pki: Pki, tmp_path: Path) -> None:
    lines = (f"CAfile = {pki.ca}", "verifyChain = yes", f"CRLpath = {tmp_path}/lists")
    jail = tmp_path / "jail"
    text = refusal(*lines, site=Site(chroot=str(jail)))
    assert text == f"CRLpath = {tmp_path}/lists: No such file or directory (inside the chroot {jail})"
    Path(jail, str(tmp_path).lstrip("/"), "lists").mkdir(parents=True)
    context.build(service(*lines, client=True), Site(chroot=str(jail)))


def test_only_missing_lists_of_issuers_are_let_pass() -> None:
    assert passes(stores.UNABLE_TO_GET_CRL, 1)
    assert passes(stores.CRL_HAS_EXPIRED, 2)
    assert not passes(stores.UNABLE_TO_GET_CRL, 0)
    assert not passes(stores.REVOKED, 1)
    assert not passes(0, 1)


def test_an_issuer_of_the_same_name_is_another(pki: Pki, tmp_path: Path) -> None:
    lists = tmp_path / "crl.pem"
    lists.write_bytes(pki.authority.revocations())
    twin = pki.authority.issue(Wish(name="good"))
    met(client(f"CAfile = {pki.ca}", "verifyChain = yes", f"CRLfile = {lists}"), server(*presenting(twin)))


def test_no_list_covers_who_signed_himself(pki: Pki, tmp_path: Path) -> None:
    lists = tmp_path / "crl.pem"
    lists.write_bytes(pki.authority.revocations())
    engine = client(f"CAfile = {pki.self_signed.cert}", "verifyPeer = yes", f"CRLfile = {lists}")
    meeting = Meeting(engine, server(*presenting(pki.self_signed))).shake()
    assert "certificate verify failed" in meeting.error(meeting.client)
    assert any("unable to get certificate CRL" in line for line in verdicts(engine))
