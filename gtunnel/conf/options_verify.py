"""Options that say what the peer's certificate has to convince us of.

Each of `verify`, `verifyChain`, `verifyPeer` and `requireCert` is a change to four demands, applied in the order
written; that is how stunnel 5.68 behaves (tests/gtunnel/conf/test_options_verify.py has the cases). So
`verifyChain = yes` brings the certificate's presence with it, a later `requireCert = no` takes that back, and
`verify = N` sets all four.
"""

from collections.abc import Callable
from dataclasses import fields

from gtunnel.conf.option import SHARED_OPENSSL, BadValueError, Repeated, Scope, Single, Topic
from gtunnel.conf.parsers import host, ip_address, path, text_of, yes_no
from gtunnel.values import dataclass

# A mailbox has at most 64 + 1 + 255 bytes (RFC 5321, 4.5.3.1).
MAX_EMAIL = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """The four demands of VerificationSettings; None leaves one as it was."""

    request: bool | None = None
    require: bool | None = None
    chain: bool | None = None
    peer: bool | None = None

    def changed_by(self, later: "Demand") -> "Demand":
        """This demand after a later line."""
        merged = {}
        for field in fields(Demand):
            new = getattr(later, field.name)
            merged[field.name] = getattr(self, field.name) if new is None else new
        return Demand(**merged)


NO_DEMAND = Demand(request=False, require=False, chain=False, peer=False)

VERIFY_LEVELS: tuple[Demand, ...] = (
    Demand(request=True, require=False, chain=False, peer=False),
    Demand(request=True, require=False, chain=True, peer=False),
    Demand(request=True, require=True, chain=True, peer=False),
    Demand(request=True, require=True, chain=True, peer=True),
    Demand(request=True, require=True, chain=False, peer=True),
)


def verify_level(text: str) -> Demand:
    """Parse the obsolete `verify = 0..4`."""
    if not text.isascii() or not text.isdigit() or len(text) > len("0000") or int(text) >= len(VERIFY_LEVELS):
        raise BadValueError("Bad verify level: 0 to 4")
    return VERIFY_LEVELS[int(text)]


def _demand(yes: Demand, no: Demand) -> Callable[[str], Demand]:
    def parse(text: str) -> Demand:
        return yes if yes_no(text) else no

    return parse


CA_FILE = Single[str | None](
    name="CAfile",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="certificates to trust, in one file",
    topic=Topic.VERIFICATION,
    more=(
        "PEM, any number of certificates. With `verifyChain` the peer's has to lead to one of them, with "
        "`verifyPeer` it has to be one of them. As a server, their names are sent to clients, which choose their "
        "certificate by them. Read at start; for the public web on Debian: `CAfile = "
        "/etc/ssl/certs/ca-certificates.crt`."
    ),
)
CA_PATH = Single[str | None](
    name="CApath",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="DIRECTORY",
    help="certificates to trust, in a directory made by 'openssl rehash'",
    topic=Topic.VERIFICATION,
    more=(
        "Files are named by the hash of their subject; they are looked up when a peer needs one, so new ones are "
        "found without a reload. With chroot it is a path inside of the jail."
    ),
)
CA_ENGINE = Repeated(
    name="CAengine",
    scope=Scope.SERVICE,
    parse=text_of("an identifier"),
    metavar="ID",
    help="certificate to trust that the service's engine keeps; several lines for several",
    since="stunnel 5.42",
    topic=Topic.VERIFICATION,
    more=(
        "Such as `CAengine = pkcs11:token=trust;object=ca`. The engine is the one that `engineId` or `engineNum` "
        "names, or else the first. It has to be named by `engine` before the first section."
    ),
    needs=SHARED_OPENSSL,
)
CA_STORE = Single[str | None](
    name="CAstore",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="URI",
    help="certificates to trust, from wherever OpenSSL can load them (file:, pkcs11:, ...)",
    since="stunnel 5.70",
    topic=Topic.VERIFICATION,
    more=(
        "`CAstore = file:/etc/gtunnel/trusted` reads a file, or all files of a directory, and works with every "
        "OpenSSL. Other URIs need OpenSSL as a shared library, and what loads them (a provider). `verifyPeer` takes "
        "file: URIs only."
    ),
)
CHECK_EMAIL = Repeated(
    name="checkEmail",
    scope=Scope.SERVICE,
    parse=text_of("an email address", MAX_EMAIL),
    metavar="ADDRESS",
    help="email address that the peer's certificate has to hold; any one of several",
    topic=Topic.VERIFICATION,
    more=(
        "Compared with the certificate's alternative names, and with its subject's emailAddress if it has none. The "
        "part before the @ counts exactly. Together with `checkHost` and `checkIP`, one match of any of them is "
        "enough. Needs `verifyChain` or `verifyPeer`."
    ),
)
CHECK_HOST = Repeated(
    name="checkHost",
    scope=Scope.SERVICE,
    parse=host,
    metavar="HOST",
    help="host name that the peer's certificate has to hold; any one of several",
    topic=Topic.VERIFICATION,
    more=(
        "Without it, any certificate of a trusted CA is accepted, whoever it belongs to: a client needs it nearly "
        "always, such as `checkHost = www.example.com`. A wildcard in the certificate counts. One match among all "
        "`checkHost`, `checkIP` and `checkEmail` lines is enough. Needs `verifyChain` or `verifyPeer`."
    ),
)
CHECK_IP = Repeated(
    name="checkIP",
    scope=Scope.SERVICE,
    parse=ip_address,
    metavar="ADDRESS",
    help="IP address that the peer's certificate has to hold; any one of several",
    topic=Topic.VERIFICATION,
    more=(
        "Compared with the IP addresses among the certificate's alternative names. One match among all `checkHost`, "
        "`checkIP` and `checkEmail` lines is enough. Needs `verifyChain` or `verifyPeer`."
    ),
)
CRL_FILE = Single[str | None](
    name="CRLfile",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="revocation lists, in one file; a certificate without one is refused then",
    topic=Topic.VERIFICATION,
    more=(
        "PEM, one or several lists. The peer's own certificate has to be covered by a list of its issuer that holds "
        "today: without one, or with an expired one, it is refused, and so is a self-signed one. Certificates of "
        "intermediate CAs are refused if a list names them. Read at start; reload (or use `reloadCerts`) for newer "
        "ones."
    ),
)
CRL_PATH = Single[str | None](
    name="CRLpath",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="DIRECTORY",
    help="revocation lists, in a directory made by 'openssl rehash'; newer ones are found",
    topic=Topic.VERIFICATION,
    more=(
        "Files are named HASH.r0, HASH.r1 and so on. The directory has to be there at start; with chroot, inside of "
        "the jail as well. As for `CRLfile`, a certificate that no list covers is refused."
    ),
)
REQUIRE_CERT = Single(
    name="requireCert",
    scope=Scope.SERVICE,
    parse=_demand(Demand(request=True, require=True), Demand(require=False)),
    default=NO_DEMAND,
    metavar="yes|no",
    help="turn clients without a certificate away",
    since="stunnel 5.42",
    topic=Topic.VERIFICATION,
    more=(
        "Asks for a certificate, and refuses clients that have none. By itself it does not say whose: any "
        "certificate will do, unless `verifyChain` or `verifyPeer` looks at it; both of them imply it. A later "
        "`requireCert = no` lets clients without a certificate pass, and still verifies those that have one."
    ),
)
VERIFY = Single(
    name="verify",
    scope=Scope.SERVICE,
    parse=verify_level,
    default=NO_DEMAND,
    metavar="0..4",
    help="obsolete: ask (0), check if present (1), check (2), chain and pinned (3), pinned only (4)",
    default_text="none",
    topic=Topic.VERIFICATION,
    more=(
        "0 asks for a certificate and accepts anything, 1 verifies one that is presented, 2 demands one and "
        "verifies its chain (as `verifyChain = yes`), 3 demands a certificate that is installed here besides, 4 "
        "only that (as `verifyPeer = yes`). Of this and the three newer options, later lines change what earlier "
        "ones said."
    ),
)
VERIFY_CHAIN = Single(
    name="verifyChain",
    scope=Scope.SERVICE,
    parse=_demand(Demand(request=True, require=True, chain=True), Demand(chain=False)),
    default=NO_DEMAND,
    metavar="yes|no",
    help="the peer's certificate has to lead to one that CAfile or CApath trusts",
    since="stunnel 5.34",
    topic=Topic.VERIFICATION,
    more=(
        "Needs `CAfile`, `CApath` or `CAstore`. Implies that there has to be a certificate. As a client, say also "
        "whose: `checkHost`. A client asks the server for a stapled OCSP answer, too. A server accepts every client "
        "that those CAs have issued a certificate for."
    ),
)
VERIFY_PEER = Single(
    name="verifyPeer",
    scope=Scope.SERVICE,
    parse=_demand(Demand(request=True, require=True, peer=True), Demand(peer=False)),
    default=NO_DEMAND,
    metavar="yes|no",
    help="the peer's certificate has to be one of those in CAfile or CApath",
    since="stunnel 5.34",
    topic=Topic.VERIFICATION,
    more=(
        "For few peers that are known: their certificates are put into `CAfile`, or into `CApath` under their "
        "hashes. Who issued them does not matter, unless `verifyChain` is on as well; dates still count. Implies "
        "that there has to be a certificate."
    ),
)

CHECKS = (CHECK_EMAIL, CHECK_HOST, CHECK_IP)
DEMANDS = (VERIFY, VERIFY_CHAIN, VERIFY_PEER, REQUIRE_CERT)
TRUST = (CA_FILE, CA_PATH, CA_STORE)
OPTIONS = (*TRUST, CA_ENGINE, *CHECKS, CRL_FILE, CRL_PATH, *DEMANDS)
