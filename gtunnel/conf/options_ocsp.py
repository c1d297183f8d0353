"""Options about OCSP (RFC 6960): whom to ask whether a certificate was revoked, and what an answer must be like."""

from gtunnel.address import HttpUrl, parse_http_url
from gtunnel.conf.option import Repeated, Scope, Single
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
)
OCSP_AIA = Single(
    name="OCSPaia",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="ask the responders that certificates name",
)
OCSP_FLAG = Repeated(
    name="OCSPflag",
    scope=Scope.SERVICE,
    parse=choice(OcspFlag, "Illegal OCSP flag"),
    metavar="FLAG",
    help="how the responder's answers are checked (OCSP_basic_verify(3)); several lines add up",
)
OCSP_NONCE = Single(
    name="OCSPnonce",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="demand an answer made for this question; it is asked anew for each connection",
)
OCSP_REQUIRE = Single(
    name="OCSPrequire",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="turn peers away about whom no responder gave a conclusive answer",
    since="stunnel 5.69",
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
)

OPTIONS = (OCSP, OCSP_AIA, OCSP_FLAG, OCSP_NONCE, OCSP_REQUIRE, TIMEOUT_OCSP)
