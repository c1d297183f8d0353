from collections.abc import Callable, Mapping

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from OpenSSL import crypto

from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.inquiry import Ask, Evidence, Inquirer, Keep, Verdict
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.gtunnel.tls.ocsp.cases import store, world
from tests.support.revocation import Holder, Saying, answer, issue

SERVICE = "client = yes\naccept = 1\nconnect = 2\nverifyChain = yes\nCAfile = ca\n"
CONFIGURED = "http://127.0.0.1:9/"
REVOKED = Saying(status=ocsp.OCSPCertStatus.REVOKED)
UNKNOWN = Saying(status=ocsp.OCSPCertStatus.UNKNOWN)
SILENCE = InconclusiveError(reason="responder: silence")

Said = bytes | InconclusiveError | Callable[[bytes], bytes]
Answers = Mapping[str, Said]


class Inquiry:
    """An inquiry about a chain, by a service with these lines, where these URLs give these answers."""

    def __init__(
        self, lines: str, answers: Answers, *chain: Holder, stapled: bytes = b"", inquirer: Inquirer | None = None
    ) -> None:
        self.log = ListLog()
        self.asked: list[str] = []
        self.kept: list[Keep] = []
        self.inquirer = inquirer or Inquirer(service(SERVICE + lines).ocsp, store(world().root))
        shown = tuple(crypto.X509.from_cryptography(holder.certificate) for holder in chain)
        self.verdict = self._run(Evidence(shown, stapled), answers)

    def _run(self, evidence: Evidence, answers: Answers) -> Verdict:
        steps = self.inquirer.about(evidence, self.log)
        try:
            step = next(steps)
            while True:
                step = steps.send(self._take(step, answers))
        except StopIteration as end:
            verdict: Verdict = end.value
        return verdict

    def _take(self, step: Ask | Keep, answers: Answers) -> bytes | InconclusiveError:
        if isinstance(step, Keep):
            self.kept.append(step)
            return b""
        if step.url is None:
            return b""
        self.asked.append(f"{step.kind} {step.url}")
        found = answers[str(step.url)]
        return found(step.request) if callable(found) else found


def whole() -> tuple[Holder, ...]:
    """The chain that most peers show."""
    here = world()
    return here.leaf, here.sub, here.root


def good(**changed: bytes | InconclusiveError) -> Answers:
    """What the certificates' own responders say."""
    here = world()
    said: dict[str, bytes | InconclusiveError] = {
        "root": answer(here.sub, here.root),
        "a": answer(here.leaf, here.sub),
        **changed,
    }
    return {f"http://127.0.0.1:1/{name}": value for name, value in said.items()}


def test_the_responders_of_all_certificates_are_asked_from_the_top_down() -> None:
    inquiry = Inquiry("OCSPaia = yes", good(), *whole())
    assert inquiry.verdict.accepted
    assert inquiry.asked == ["AIA http://127.0.0.1:1/root", "AIA http://127.0.0.1:1/a"]
    assert inquiry.log.texts.count("OCSP: Accepted (good)") == 2
    assert [0 < kept.seconds <= 86400 for kept in inquiry.kept] == [True, True]


def test_a_revoked_leaf_is_rejected_whatever_is_required() -> None:
    here = world()
    for required in ("yes", "no"):
        answers = good(a=answer(here.leaf, here.sub, REVOKED))
        inquiry = Inquiry(f"OCSPaia = yes\nOCSPrequire = {required}", answers, *whole())
        assert inquiry.verdict == Verdict(False, 0, "CN=leaf")
        assert "OCSP: Rejected (revoked)" in inquiry.log.texts
        assert "Rejected by OCSP at depth=0: CN=leaf" in inquiry.log.texts
        assert any(line.endswith("GMT (1: keyCompromise)") for line in inquiry.log.texts)


def test_a_revoked_ca_is_rejected_and_the_leaf_not_asked_about() -> None:
    here = world()
    inquiry = Inquiry("OCSPaia = yes", good(root=answer(here.sub, here.root, REVOKED)), *whole())
    assert inquiry.verdict == Verdict(False, 1, "CN=sub")
    assert len(inquiry.asked) == 1


@pytest.mark.parametrize("said", [SILENCE, b"rubbish", "unknown", "expired", "stranger"])
def test_what_is_not_conclusive_counts_as_required(said: bytes | str | InconclusiveError) -> None:
    here = world()
    if isinstance(said, str):
        by = here.stranger if said == "stranger" else here.sub
        said = answer(here.leaf, by, {"unknown": UNKNOWN, "expired": Saying(begins=-3, ends=-2)}.get(said, Saying()))
    refused = Inquiry("OCSPaia = yes", good(a=said), *whole())
    assert refused.verdict == Verdict(False, 0, "CN=leaf")
    assert "OCSP: Rejected (OCSPrequire = yes)" in refused.log.texts
    accepted = Inquiry("OCSPaia = yes\nOCSPrequire = no", good(a=said), *whole())
    assert accepted.verdict.accepted
    assert "OCSP: Accepted (OCSPrequire = no)" in accepted.log.texts
    assert len(accepted.kept) == 1


def test_the_configured_responder_is_asked_about_all_and_has_to_agree_with_the_others() -> None:
    here = world()
    said = {here.sub: answer(here.sub, here.root), here.leaf: answer(here.leaf, here.sub)}

    def both(request: bytes) -> bytes:
        number = ocsp.load_der_ocsp_request(request).serial_number
        return next(value for holder, value in said.items() if holder.certificate.serial_number == number)

    lines = f"OCSP = {CONFIGURED}\nOCSPaia = yes"
    def answers(configured: Said, **changed: bytes | InconclusiveError) -> Answers:
        merged: dict[str, Said] = {CONFIGURED: configured}
        merged.update(good(**changed))
        return merged

    inquiry = Inquiry(lines, answers(both), *whole())
    assert inquiry.verdict.accepted
    assert [line.split()[0] for line in inquiry.asked] == ["configured", "AIA", "configured", "AIA"]
    assert not Inquiry(lines, answers(SILENCE), *whole()).verdict.accepted
    assert not Inquiry(lines, answers(both, a=SILENCE), *whole()).verdict.accepted


def test_one_of_several_named_responders_is_enough() -> None:
    here = world()
    urls = [f"http://127.0.0.1:1/{name}" for name in "xyz"]
    leaf = issue(here.root, "three", responders=urls)
    said: list[Said] = [SILENCE, answer(leaf, here.root), SILENCE]
    answers: dict[str, Said] = dict(zip(urls, said, strict=True))
    inquiry = Inquiry("OCSPaia = yes", answers, leaf, here.root)
    assert inquiry.verdict.accepted
    assert len(inquiry.asked) == 2


def test_who_names_nobody_is_not_asked_about() -> None:
    here = world()
    inquiry = Inquiry("OCSPaia = yes", {}, issue(here.root, "plain"), here.root)
    assert inquiry.verdict.accepted
    assert not inquiry.asked


def test_nobody_is_nobody() -> None:
    assert Inquiry("OCSPaia = yes", {}).verdict.accepted


def test_an_installed_certificate_whose_issuer_nobody_knows_cannot_be_asked_about() -> None:
    here = world()
    for lines, accepted in (("OCSPaia = yes", False), ("OCSPaia = yes\nOCSPrequire = no", True)):
        inquiry = Inquiry(lines, {}, here.leaf)
        assert inquiry.verdict.accepted is accepted
        assert not inquiry.asked


def test_an_answer_with_a_nonce_is_not_kept() -> None:
    here = world()

    def reply(request: bytes) -> bytes:
        nonce = ocsp.load_der_ocsp_request(request).extensions[0].value
        return answer(here.sub, here.root, Saying(nonce=nonce.nonce))

    inquiry = Inquiry("OCSPaia = yes\nOCSPnonce = yes", {"http://127.0.0.1:1/root": reply}, here.sub, here.root)
    assert inquiry.verdict.accepted
    assert not inquiry.kept
    without = Inquiry("OCSPaia = yes\nOCSPnonce = yes", good(), here.sub, here.root)
    assert not without.verdict.accepted
    assert "OCSP: Invalid or unsupported nonce" in without.log.texts


def test_an_answer_without_an_end_is_not_kept() -> None:
    here = world()
    forever = answer(here.sub, here.root, Saying(ends=None))
    inquiry = Inquiry("OCSPaia = yes", good(root=forever), here.sub, here.root)
    assert inquiry.verdict.accepted
    assert not inquiry.kept


def test_an_answer_that_was_believed_for_want_of_a_check_is_not_kept_for_others() -> None:
    here = world()
    made_by_anybody = answer(here.sub, here.stranger, Saying(embed=(here.stranger.certificate,)))
    for flag in ("NOVERIFY", "NOSIGS"):
        answers = good(root=made_by_anybody if flag == "NOVERIFY" else answer(here.sub, here.root))
        inquiry = Inquiry(f"OCSPaia = yes\nOCSPflag = {flag}", answers, here.sub, here.root)
        assert inquiry.verdict.accepted
        assert not inquiry.kept


def test_without_ocsp_and_a_staple_the_chain_is_not_even_looked_at() -> None:
    inquirer = Inquirer(service(SERVICE).ocsp, store(world().root))
    with pytest.raises(StopIteration) as end:
        next(inquirer.about(Evidence((object(),)), ListLog()))  # type: ignore[arg-type]
    assert end.value.value.accepted


def test_a_good_staple_saves_asking_about_the_leaf() -> None:
    here = world()
    inquiry = Inquiry("OCSPaia = yes", good(), *whole(), stapled=answer(here.leaf, here.sub))
    assert inquiry.verdict.accepted
    assert inquiry.asked == ["AIA http://127.0.0.1:1/root"]
    assert [kept.url for kept in inquiry.kept][-1] is None


def test_a_staple_does_not_replace_an_answer_that_a_nonce_is_demanded_in() -> None:
    here = world()
    lines = "OCSPaia = yes\nOCSPnonce = yes"
    chain = (issue(here.root, "short", responders=["http://127.0.0.1:1/a"]), here.root)
    stapled = answer(chain[0], here.root)
    inquiry = Inquiry(lines, good(a=stapled), *chain, stapled=stapled)
    assert not inquiry.verdict.accepted
    assert "OCSP: Invalid or unsupported nonce" in inquiry.log.texts
    revoked = Inquiry(lines, {}, *chain, stapled=answer(chain[0], here.root, REVOKED))
    assert not revoked.verdict.accepted
    assert not revoked.asked


def test_a_revoked_staple_is_believed_also_where_nobody_is_to_be_asked() -> None:
    here = world()
    stapled = answer(here.leaf, here.sub, REVOKED)
    for lines in ("", "OCSPaia = yes", "OCSPrequire = no"):
        assert not Inquiry(lines, good(), *whole(), stapled=stapled).verdict.accepted


def test_a_bad_staple_is_told_and_others_are_asked() -> None:
    here = world()
    for stapled in (b"rubbish", answer(here.leaf, here.stranger), answer(here.leaf, here.sub, UNKNOWN)):
        inquiry = Inquiry("OCSPaia = yes", good(), *whole(), stapled=stapled)
        assert inquiry.verdict.accepted
        assert len(inquiry.asked) == 2
        assert any(line.endswith("(stapled by the peer)") for line in inquiry.log.texts)
        # Without a responder to ask, it is as good as none.
        assert Inquiry("", {}, *whole(), stapled=stapled).verdict.accepted


def test_a_resumed_session_is_inquired_about_like_a_full_one() -> None:
    here = world()
    first = Inquiry("OCSPaia = yes", good(), *whole())
    resumed = Inquiry("", good(), here.leaf, inquirer=first.inquirer)
    assert resumed.asked == first.asked
    revoked = Inquiry("", good(a=answer(here.leaf, here.sub, REVOKED)), here.leaf, inquirer=first.inquirer)
    assert not revoked.verdict.accepted


class Unreadable(crypto.X509):
    """A certificate that OpenSSL reads, and cryptography does not."""

    def to_cryptography(self) -> x509.Certificate:
        raise ValueError("unreadable")


def test_a_certificate_that_cannot_be_read_is_not_conclusive() -> None:
    made = crypto.X509.from_cryptography(world().leaf.certificate)
    made.__class__ = Unreadable
    for lines, accepted in (("OCSPaia = yes", False), ("OCSPaia = yes\nOCSPrequire = no", True), ("", True)):
        log = ListLog()
        inquirer = Inquirer(service(SERVICE + lines).ocsp, store(world().root))
        with pytest.raises(StopIteration) as end:
            next(inquirer.about(Evidence((made,), b"stapled"), log))
        assert end.value.value.accepted is accepted
        assert "OCSP: the peer's certificates cannot be read: unreadable" in log.texts
