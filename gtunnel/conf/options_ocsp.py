"""Options about OCSP (RFC 6960): whom to ask whether a certificate was revoked, and what an answer must be like."""

from gtunnel.address import HttpUrl, parse_http_url
from gtunnel.conf.option import Repeated, Scope, Single, Topic
from gtunnel.conf.parsers import choice, seconds, yes_no
from gtunnel.conf.settings import OcspFlag


def responder(text: str) -> HttpUrl:
    """Parse a responder's URL, which `https` cannot be: answers are signed, and checking it would take OCSP again."""
    return parse_http_url(text, no_tls="TLS not supported for OCSP - an additional stunnel service needs to be defined")


OCSP = Single[HttpUrl | None](
    name="OCSP",
    scope=Scope.SERVICE,
    parse=responder,
    default=None,
    metavar="URL",
    help="responder to ask about the peer's certificate, and all others of its chain",
    topic=Topic.OCSP,
    more=(
        "Such as `OCSP = http://ocsp.example.com/`; https is refused, since answers are signed. Asked about each "
        "certificate of the chain but the root, when `verifyChain` or `verifyPeer` demands a certificate. Answers "
        "are kept until they expire. A server with a certificate of its own also fetches answers about that in the "
        "background and staples them."
    ),
)
OCSP_AIA = Single(
    name="OCSPaia",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="ask the responders that certificates name",
    topic=Topic.OCSP,
    more=(
        "In addition to `OCSP`: where both are given, both have to find the certificate good. A certificate that "
        "names no responder is then asked about only where `OCSP` says so."
    ),
)
OCSP_FLAG = Repeated(
    name="OCSPflag",
    scope=Scope.SERVICE,
    parse=choice(OcspFlag, "Illegal OCSP flag"),
    metavar="FLAG",
    help="how the responder's answers are checked (OCSP_basic_verify(3)); several lines add up",
    topic=Topic.OCSP,
    more=(
        "Without OpenSSL's prefix: NOCERTS, NOINTERN, NOSIGS, NOCHAIN, NOVERIFY, NOEXPLICIT, NOCASIGN, NODELEGATED, "
        "NOCHECKS, TRUSTOTHER, RESPID_KEY, NOTIME. `OCSPflag = NOSIGS`, NOVERIFY and NOCHECKS let answers of "
        "anybody count, and are warned about. NOCERTS, NOTIME, RESPID_KEY, NOCASIGN, NODELEGATED and NOEXPLICIT "
        "change nothing."
    ),
)
OCSP_NONCE = Single(
    name="OCSPnonce",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="demand an answer made for this question; it is asked anew for each connection",
    topic=Topic.OCSP,
    more=(
        "Keeps old answers from being replayed, but then none can be kept, and many public responders do not answer "
        "nonces: those are inconclusive."
    ),
)
OCSP_REQUIRE = Single(
    name="OCSPrequire",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="turn peers away about whom no responder gave a conclusive answer",
    since="stunnel 5.69",
    topic=Topic.OCSP,
    more=(
        "Inconclusive is: no answer in time, one that does not convince, or that the responder does not know the "
        "certificate. `OCSPrequire = no` accepts the peer then; revoked is refused in either case."
    ),
)
TIMEOUT_OCSP = Single(
    name="TIMEOUTocsp",
    scope=Scope.SERVICE,
    parse=seconds("OCSP"),
    default=5.0,
    metavar="SECONDS",
    help="how long a responder may take for its answer",
    since="stunnel 5.69",
    default_text="5 seconds",
    topic=Topic.OCSP,
    more=(
        "For each responder. Only the connection that asks waits. A responder that cannot be reached is left in "
        "peace for five seconds."
    ),
)

OPTIONS = (OCSP, OCSP_AIA, OCSP_FLAG, OCSP_NONCE, OCSP_REQUIRE, TIMEOUT_OCSP)
