from pathlib import Path

import pytest
from cryptography.x509 import ocsp
from OpenSSL import SSL

from gtunnel.tls import context
from gtunnel.tls.context import TlsContext
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.staple import Staple
from tests.gtunnel.tls.ocsp.cases import world
from tests.gtunnel.tls.pairs import met, service
from tests.support.certificates import Pki
from tests.support.revocation import Holder, Saying, answer, issue, pem, signer

REVOKED = Saying(status=ocsp.OCSPCertStatus.REVOKED)


def serving(directory: Path, holder: Holder, *lines: str, alone: bool = False) -> TlsContext:
    """A server with this certificate; `alone`: without its issuer's."""
    identity = holder.identity(directory, "it")
    if alone:
        identity.cert.write_bytes(pem(holder.certificate))
    made = context.build(service(*(lines or ("OCSPaia = yes",)), f"cert = {identity.cert}", f"key = {identity.key}"))
    if made.served is not None:
        made.served.prepare()
    return made


def staple_of(made: TlsContext) -> Staple:
    """What it staples."""
    assert isinstance(made.served, Staple)
    return made.served


def stapled(made: TlsContext, version: str, directory: Path) -> bytes:
    """What a client gets."""
    ca = directory / "ca.pem"
    ca.write_bytes(pem(world().root.certificate))
    line = f"sslVersion = TLSv{version}"
    asking = context.build(service("verifyChain = yes", f"CAfile = {ca}", line, client=True))
    meeting = met(asking.engine("localhost"), made.engine())
    return meeting.client.evidence().stapled


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_good_answer_is_stapled(tmp_path: Path, version: str) -> None:
    here = world()
    made = serving(tmp_path, here.leaf)
    assert stapled(made, version, tmp_path) == b""
    good = answer(here.leaf, here.sub)
    assert staple_of(made).put(good).good
    assert stapled(made, version, tmp_path) == good


def test_an_answer_that_is_not_good_is_not_stapled(tmp_path: Path) -> None:
    here = world()
    made = serving(tmp_path, here.leaf)
    staple = staple_of(made)
    good = answer(here.leaf, here.sub)
    staple.put(good)
    expired = Saying(begins=-3.0, ends=-2.0)
    for other in (b"rubbish", answer(here.leaf, here.stranger), answer(here.leaf, here.sub, expired)):
        with pytest.raises(InconclusiveError):
            staple.put(other)
    assert stapled(made, "1.3", tmp_path) == good
    assert not staple.put(answer(here.leaf, here.sub, REVOKED)).good
    assert stapled(made, "1.3", tmp_path) == b""


def test_an_answer_is_stapled_until_it_ends(tmp_path: Path) -> None:
    here = world()
    made = serving(tmp_path, here.leaf)
    staple = staple_of(made)
    # Taken because clocks may differ by minutes, but over by ours.
    staple.put(answer(here.leaf, here.sub, Saying(begins=-1.0, ends=-1 / 24 / 60)))
    assert stapled(made, "1.3", tmp_path) == b""
    staple.put(answer(here.leaf, here.sub, Saying(begins=-1 / 24, ends=None)))
    assert stapled(made, "1.3", tmp_path) != b""


def test_a_delegates_answer_is_stapled(tmp_path: Path) -> None:
    here = world()
    delegate = signer(here.sub)
    made = serving(tmp_path, here.leaf)
    assert staple_of(made).put(answer(here.leaf, delegate, Saying(embed=(delegate.certificate,)))).good


def test_the_configured_responder_is_asked_first(tmp_path: Path) -> None:
    here = world()
    lines = ("OCSP = http://127.0.0.1:9/", "OCSPaia = yes")
    assert [str(url) for url in staple_of(serving(tmp_path, here.leaf, *lines)).urls] == [
        "http://127.0.0.1:9/",
        "http://127.0.0.1:1/a",
    ]
    assert len(staple_of(serving(tmp_path, here.leaf, lines[0])).urls) == 1


def test_nothing_is_stapled_where_nobody_is_to_be_asked(tmp_path: Path, pki: Pki) -> None:
    here = world()
    assert serving(tmp_path, here.leaf, "OCSPaia = no").served is None
    assert staple_of(serving(tmp_path, issue(here.sub, "plain"))).question is None
    assert staple_of(serving(tmp_path, here.stranger, "OCSP = http://127.0.0.1:9/")).question is None
    assert context.build(service("OCSPaia = yes", f"cert = {pki.client.pem}", client=True)).served is None


def test_the_issuer_comes_from_what_is_presented_or_trusted(tmp_path: Path) -> None:
    here = world()
    with pytest.raises(InconclusiveError, match="issuer is neither in cert nor in CAfile"):
        serving(tmp_path, here.leaf, alone=True)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(pem(here.sub.certificate) + pem(here.root.certificate))
    made = serving(tmp_path, here.leaf, "OCSPaia = yes", f"CAfile = {trusted}", alone=True)
    asked = staple_of(made).question
    assert asked is not None
    assert asked.issuer == here.sub.certificate


def test_what_only_some_clients_can_speak_is_no_hindrance(tmp_path: Path) -> None:
    here = world()
    for lines in (
        ("sslVersion = TLSv1.2", "ciphers = ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("sslVersion = TLSv1.3",),
        ("verifyChain = yes", f"CAfile = {tmp_path / 'sub.pem'}"),
    ):
        (tmp_path / "sub.pem").write_bytes(pem(here.sub.certificate))
        assert staple_of(serving(tmp_path, here.leaf, "OCSPaia = yes", *lines)).question is not None


def test_another_certificate_of_the_same_context_gets_no_answer(tmp_path: Path) -> None:
    here = world()
    staple = staple_of(serving(tmp_path, here.leaf))
    staple.put(answer(here.leaf, here.sub))
    other = serving(tmp_path, issue(here.sub, "other", responders=["http://127.0.0.1:1/"]))
    assert staple.offer(SSL.Connection(other.context, None).get_certificate()) == b""
    assert staple.offer(None) == b""
