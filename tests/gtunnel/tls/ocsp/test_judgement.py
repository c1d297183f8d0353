from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gtunnel.conf.settings import OcspFlag
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.judgement import MAX_ANSWER_BYTES, Judgement
from tests.gtunnel.tls.ocsp.cases import judged, question, world
from tests.support.revocation import Saying, answer, issue, signer

GOOD, REVOKED, UNKNOWN = (ocsp.OCSPCertStatus[name] for name in ("GOOD", "REVOKED", "UNKNOWN"))


def test_the_issuers_own_answer_counts() -> None:
    here = world()
    found = judged(answer(here.leaf, here.sub))
    assert found.good
    assert found.ends is not None
    assert found.begins < found.ends


@pytest.mark.parametrize("by_key", [True, False], ids=["by key", "by name"])
@pytest.mark.parametrize("algorithm", [Saying().algorithm, hashes.SHA256()], ids=["SHA-1", "SHA-256"])
def test_a_delegates_answer_counts(by_key: bool, algorithm: hashes.HashAlgorithm) -> None:
    here = world()
    delegate = signer(here.sub)
    saying = Saying(by_key=by_key, embed=(delegate.certificate,), algorithm=algorithm)
    assert judged(answer(here.leaf, delegate, saying)).good


def test_revoked_is_an_answer() -> None:
    here = world()
    found = judged(answer(here.leaf, here.sub, Saying(status=REVOKED)))
    assert not found.good
    assert found.revoked is not None
    assert found.reason is not None
    assert found.reason.value == "keyCompromise"


@pytest.mark.parametrize(
    ("saying", "why"),
    [
        (Saying(status=UNKNOWN), "Unknown verification status"),
        (Saying(begins=-2.0, ends=-1.0), "has expired"),
        (Saying(begins=1.0, ends=2.0), "not valid before"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_says_nothing_is_inconclusive(saying: Saying, why: str) -> None:
    here = world()
    with pytest.raises(InconclusiveError, match=why):
        judged(answer(here.leaf, here.sub, saying))


def test_clocks_may_differ_a_little() -> None:
    here = world()
    minute = 1 / 24 / 60
    assert judged(answer(here.leaf, here.sub, Saying(begins=minute, ends=1.0))).good
    assert judged(answer(here.leaf, here.sub, Saying(begins=-1.0, ends=-minute))).good


def test_an_answer_about_another_certificate_is_none() -> None:
    here = world()
    other = issue(here.sub, "other")
    with pytest.raises(InconclusiveError, match="not about the certificate"):
        judged(answer(other, here.sub))


def test_an_answer_about_another_issuers_certificate_of_the_same_number_is_none() -> None:
    here = world()
    with pytest.raises(InconclusiveError, match="not about the certificate"):
        judged(answer(here.leaf, here.sub, issuer=here.stranger.certificate))


def test_others_may_not_speak() -> None:
    here = world()
    for wrong, why in (
        (here.stranger, "signer certificate not found"),
        (here.root, "does not speak for the certificate's issuer"),
        (here.leaf, "missing ocspsigning usage"),
    ):
        with pytest.raises(InconclusiveError, match=why):
            judged(answer(here.leaf, wrong))


def test_who_brings_a_certificate_must_be_trusted_and_delegated() -> None:
    here = world()
    for wrong, why in (
        (here.stranger, "certificate verify error"),
        (signer(here.stranger), "certificate verify error"),
        (signer(here.root), "does not speak"),
        (issue(here.sub, "no delegate"), "missing ocspsigning usage"),
        (issue(here.sub, "late", usage=ExtendedKeyUsageOID.OCSP_SIGNING, expired=True), "certificate verify error"),
    ):
        with pytest.raises(InconclusiveError, match=why):
            judged(answer(here.leaf, wrong, Saying(embed=(wrong.certificate,))))


def test_a_changed_answer_is_none() -> None:
    here = world()
    saying = Saying(status=REVOKED)
    whole = answer(here.leaf, here.sub, saying)
    # The reason (CRLReason is an ENUMERATED): keyCompromise becomes cACompromise.
    forged = whole.replace(b"\x0a\x01\x01", b"\x0a\x01\x02")
    assert forged != whole
    with pytest.raises(InconclusiveError, match="signature failure"):
        judged(forged)
    found = judged(forged, OcspFlag.NOSIGS)
    assert found.reason is not None
    assert found.reason.value == "cACompromise"


def test_a_signer_in_the_answer_counts_unless_nointern() -> None:
    here = world()
    delegate = signer(here.sub)
    brought = answer(here.leaf, delegate, Saying(embed=(delegate.certificate,)))
    with pytest.raises(InconclusiveError, match="signer certificate not found"):
        judged(brought, OcspFlag.NOINTERN)
    assert judged(answer(here.leaf, here.sub), OcspFlag.NOINTERN).good


def test_noverify_asks_for_the_signature_only() -> None:
    here = world()
    brought = answer(here.leaf, here.stranger, Saying(embed=(here.stranger.certificate,)))
    assert judged(brought, OcspFlag.NOVERIFY).good


def test_nochecks_takes_whom_our_trust_knows() -> None:
    here = world()
    assert judged(answer(here.leaf, here.root), OcspFlag.NOCHECKS).good
    brought = answer(here.leaf, here.stranger, Saying(embed=(here.stranger.certificate,)))
    with pytest.raises(InconclusiveError, match="certificate verify error"):
        judged(brought, OcspFlag.NOCHECKS)


def test_nochain_leaves_out_what_the_peer_brings() -> None:
    here = world()
    with pytest.raises(InconclusiveError, match="certificate verify error"):
        judged(answer(here.leaf, signed := signer(here.sub), Saying(embed=(signed.certificate,))), OcspFlag.NOCHAIN)
    assert judged(answer(here.leaf, here.sub), OcspFlag.NOCHAIN).good


def test_trustother_trusts_signers_of_the_peers_chain() -> None:
    here = world()
    assert judged(answer(here.leaf, here.sub), OcspFlag.TRUSTOTHER, trust=(here.stranger,)).good
    with pytest.raises(InconclusiveError, match="certificate verify error"):
        judged(answer(here.leaf, here.sub), trust=(here.stranger,))


@pytest.mark.parametrize("name", ["NOCERTS", "NOTIME", "RESPID_KEY", "NOCASIGN", "NODELEGATED", "NOEXPLICIT"])
def test_flags_that_openssl_makes_nothing_of_here_change_nothing(name: str) -> None:
    here = world()
    assert judged(answer(here.leaf, here.sub), OcspFlag(name)).good
    with pytest.raises(InconclusiveError):
        judged(answer(here.leaf, here.root), OcspFlag(name))


def test_a_nonce_must_come_back() -> None:
    here = world()
    asked = question(nonce=True)
    assert asked.nonce is not None
    assert judged(answer(here.leaf, here.sub, Saying(nonce=asked.nonce)), about=asked).good
    for other in (None, b"x" * 32, asked.nonce[:-1]):
        with pytest.raises(InconclusiveError, match="Invalid or unsupported nonce"):
            judged(answer(here.leaf, here.sub, Saying(nonce=other)), about=asked)
    # Who did not ask for one is not disturbed by one.
    assert judged(answer(here.leaf, here.sub, Saying(nonce=b"x" * 32))).good


@pytest.mark.parametrize("status", [name for name in ocsp.OCSPResponseStatus if name.name != "SUCCESSFUL"])
def test_a_responders_error_is_told(status: ocsp.OCSPResponseStatus) -> None:
    refused = ocsp.OCSPResponseBuilder.build_unsuccessful(status)
    with pytest.raises(InconclusiveError, match=rf"Responder error: {status.value}: \w+"):
        judged(refused.public_bytes(Encoding.DER))


@pytest.mark.parametrize("size", [0, MAX_ANSWER_BYTES + 1])
def test_an_answer_has_a_size(size: int) -> None:
    with pytest.raises(InconclusiveError, match=f"{size} bytes"):
        judged(bytes(size))


def outcome(data: bytes, *flags: OcspFlag) -> Judgement | None:
    """Judged, or refused: nothing else."""
    try:
        return judged(data, *flags)
    except InconclusiveError:
        return None


@cache
def _revoked() -> bytes:
    here = world()
    delegate = signer(here.sub)
    return answer(here.leaf, delegate, Saying(status=REVOKED, embed=(delegate.certificate,)))


@given(st.binary(max_size=400))
def test_any_bytes_are_refused(data: bytes) -> None:
    assert outcome(data) is None


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_damaged_answer_is_never_another_answer(data: st.DataObject) -> None:
    whole = bytearray(_revoked())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found = outcome(bytes(whole))
    assert found is None or not found.good
    outcome(bytes(whole), OcspFlag.NOSIGS, OcspFlag.NOVERIFY)
    outcome(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


