"""Has a peer's certificate been revoked? An inquiry is a generator of steps that whoever has a network takes for it;
what it returns is a `Verdict`.

As in stunnel 5.68 every certificate of the peer's chain but the root is asked about, from the top down. For each, the
responder that `OCSP` names has to find it good, and (with OCSPaia) one of those that the certificate itself names; a
certificate about which nobody is to be asked is not asked about. An answer that the peer has stapled saves asking about
its leaf. Whatever is not conclusive counts as OCSPrequire says; revoked is revoked.
"""

from collections.abc import Generator, Iterator
from typing import TypeVar

from cryptography import x509
from OpenSSL import crypto

from gtunnel.address import HttpUrl
from gtunnel.conf.settings import OcspFlag, OcspSettings
from gtunnel.events import Level, Log
from gtunnel.tls.ocsp import moments, question
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.judgement import Judgement, Terms, judge
from gtunnel.tls.ocsp.links import Chains, Link
from gtunnel.tls.ocsp.question import Question
from gtunnel.tls.verification import subject_text
from gtunnel.values import dataclass

# CRLReason (RFC 5280, section 5.3.1), as OpenSSL numbers and names them.
_REASONS = (
    *("unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "cessationOfOperation"),
    *("certificateHold", "", "removeFromCRL", "privilegeWithdrawn", "aACompromise"),
)

# With these, answers are believed that others would not believe.
_LENIENT = {OcspFlag.NOSIGS, OcspFlag.NOVERIFY, OcspFlag.NOCHECKS, OcspFlag.TRUSTOTHER}


@dataclass(frozen=True, slots=True)
class Ask:
    """Send `request` to a responder; the step's result is its answer, or an `InconclusiveError`.

    `kind` is "configured" or "AIA". Without a `url` only an answer that was kept is wanted: b"" if there is none.
    """

    url: HttpUrl | None
    request: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Keep:
    """`answer` is good for so many seconds: who asks the same until then may have it."""

    url: HttpUrl | None
    request: bytes
    answer: bytes
    seconds: float


T = TypeVar("T")
Steps = Generator[Ask | Keep, bytes | InconclusiveError, T]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a handshake brought: the chain that was verified, the leaf first (of a resumed session the leaf alone), and
    what the peer stapled (empty: nothing)."""

    chain: tuple[crypto.X509, ...]
    stapled: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the peer is accepted; if not, which certificate is to blame."""

    accepted: bool
    depth: int = 0
    subject: str = ""


class Inquirer:
    """Inquires for one service."""

    def __init__(self, settings: OcspSettings, trust: crypto.X509Store) -> None:
        self._settings = settings
        self._terms = Terms(flags=settings.flags, trust=trust)
        self._chains = Chains(trust)

    def about(self, evidence: Evidence, log: Log) -> Steps[Verdict]:
        """Inquire about a peer; without a certificate there is nothing to inquire about."""
        if not evidence.chain or not (self._settings.asks or evidence.stapled):
            return Verdict(accepted=True)
        try:
            links = self._chains.links(evidence.chain)
        except InconclusiveError as error:
            log.write(error.level, str(error))
            # Where nobody is to be asked, a staple that cannot be judged is as good as none.
            accepted = not self._settings.asks or self._without_conclusion(log)
            return self._verdict(accepted, 0, evidence.chain[0], log)
        whole = [link.certificate for link in links]
        for link in reversed(links):
            accepted = yield from self._about(link, _Case(evidence.stapled, whole, log))
            if not accepted:
                return self._verdict(False, link.depth, crypto.X509.from_cryptography(link.certificate), log)
        return Verdict(accepted=True)

    def _verdict(self, accepted: bool, depth: int, certificate: crypto.X509, log: Log) -> Verdict:
        subject = subject_text(certificate)
        if not accepted:
            log.write(Level.WARNING, f"Rejected by OCSP at depth={depth}: {subject}")
        return Verdict(accepted, depth, subject)

    def _about(self, link: Link, case: "_Case") -> Steps[bool]:
        groups = list(self._sources(link.certificate))
        if not groups and not (link.depth == 0 and case.stapled):
            return True
        found = yield from self._staple(link, case)
        # A staple was not made for this question: where a nonce is demanded, it can only condemn.
        if found is not None and not (found.good and groups and self._settings.nonce):
            return _told(found, case.log)
        for kind, responders in groups:
            found = yield from self._first(link, kind, responders, case)
            if found is None:
                if not self._without_conclusion(case.log):
                    return False
            elif not _told(found, case.log):
                return False
        return True

    def _sources(self, certificate: x509.Certificate) -> Iterator[tuple[str, tuple[HttpUrl | InconclusiveError, ...]]]:
        """Who is to be asked: of each group, one has to find the certificate good."""
        if self._settings.url is not None:
            yield "configured", (self._settings.url,)
        named = question.responders(certificate) if self._settings.aia else ()
        if named:
            yield "AIA", named

    def _staple(self, link: Link, case: "_Case") -> Steps[Judgement | None]:
        """What the peer's staple says of its leaf; if it brought none, one that it or another brought before."""
        if link.depth != 0 or link.issuer is None:
            return None
        try:
            asked = question.ask(link.certificate, link.issuer, nonce=False)
            staple = case.stapled or (yield Ask(None, asked.request, "stapled"))
            if not staple or isinstance(staple, InconclusiveError):
                return None
            found = judge(staple, asked, case.chain, self._terms, moments.now())
        except InconclusiveError as error:
            case.log.write(Level.WARNING, f"{error} (stapled by the peer)")
            return None
        case.log.write(Level.INFO, "OCSP: The peer stapled an answer")
        yield from self._keep(None, asked, staple, found)
        return found

    def _first(
        self, link: Link, kind: str, responders: tuple[HttpUrl | InconclusiveError, ...], case: "_Case"
    ) -> Steps[Judgement | None]:
        """The first conclusive answer, if there is one."""
        for url in responders:
            try:
                return (yield from self._once(link, kind, url, case))
            except InconclusiveError as error:
                case.log.write(error.level, str(error))
        return None

    def _once(self, link: Link, kind: str, url: HttpUrl | InconclusiveError, case: "_Case") -> Steps[Judgement]:
        """One responder's answer. Raises `InconclusiveError`."""
        if isinstance(url, InconclusiveError):
            raise url
        if link.issuer is None:
            raise InconclusiveError(reason=f"the certificate's issuer is not known (depth={link.depth})")
        asked = question.ask(link.certificate, link.issuer, nonce=self._settings.nonce)
        answer = yield Ask(url, asked.request, kind)
        if isinstance(answer, InconclusiveError):
            raise answer
        found = judge(answer, asked, case.chain, self._terms, moments.now())
        yield from self._keep(url, asked, answer, found)
        return found

    def _keep(self, url: HttpUrl | None, asked: Question, answer: bytes, found: Judgement) -> Steps[None]:
        # Without an end, newer answers are to be had at any time (RFC 6960, section 4.2.2.1). What was believed for
        # want of a check must not be in the way of services that do check.
        if found.ends is not None and asked.nonce is None and not self._settings.flags & _LENIENT:
            yield Keep(url, asked.request, answer, (found.ends - moments.now()).total_seconds())

    def _without_conclusion(self, log: Log) -> bool:
        if self._settings.require:
            log.write(Level.ERR, "OCSP: Rejected (OCSPrequire = yes)")
            return False
        log.write(Level.NOTICE, "OCSP: Accepted (OCSPrequire = no)")
        return True


@dataclass(frozen=True, slots=True)
class _Case:
    """What all certificates of one inquiry share."""

    stapled: bytes
    chain: list[x509.Certificate]
    log: Log


def _told(found: Judgement, log: Log) -> bool:
    """Log what an answer says; whether it is good."""
    log.write(Level.INFO, f"OCSP: Status: {'good' if found.good else 'revoked'}")
    log.write(Level.INFO, f"OCSP: This update: {moments.text(found.begins)}")
    if found.ends is not None:
        log.write(Level.INFO, f"OCSP: Next update: {moments.text(found.ends)}")
    if found.good:
        log.write(Level.NOTICE, "OCSP: Accepted (good)")
        return True
    log.write(Level.ERR, "OCSP: Rejected (revoked)")
    if found.revoked is not None:
        log.write(Level.NOTICE, f"OCSP: Revoked at: {moments.text(found.revoked)}{_because(found)}")
    return False


def _because(found: Judgement) -> str:
    if found.reason is None:
        return ""
    number = _REASONS.index(found.reason.value) if found.reason.value in _REASONS else 0
    return f" ({number}: {found.reason.value})"
