"""Options of TLS: what a service offers and presents.

`sslVersion` and its two relatives are changes that are applied in the order written, as in stunnel: the later line
wins, and `sslVersion` sets both bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gtunnel.conf.option import BadValueError, Repeated, Scope, Single
from gtunnel.conf.parsers import anything, choice, integer, path, server_name, text_of, yes_no
from gtunnel.conf.settings import TlsVersion
from gtunnel.conf.tlsoptions import DEFAULTS as DEFAULT_TLS_OPTIONS
from gtunnel.conf.tlsoptions import parse_tls_option

DEFAULT_CIPHERS = "HIGH:!aNULL:!SSLv2:!DH:!kDHEPSK"
# Debian's order: hardware has AES.
DEFAULT_CIPHERSUITES = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
DEFAULT_CURVES = "X25519:P-256:X448:P-521:P-384"
# PSK_MAX_IDENTITY_LEN (ssl.h), which OpenSSL's buffers have.
MAX_PSK_IDENTITY = 256
# SSL_CTX_set_security_level(3ssl).
MAX_SECURITY_LEVEL = 5


@dataclass(frozen=True, slots=True)
class VersionChange:
    """What a line says about the bounds of the protocol version. None leaves a bound as it is."""

    low: TlsVersion | None = None
    high: TlsVersion | None = None


# TLS 1.0 is what stunnel asks for; the security level decides whether it works.
DEFAULT_VERSIONS = VersionChange(TlsVersion.TLSV1, TlsVersion.ALL)

_version = choice(TlsVersion, "Invalid protocol version: all, SSLv3, TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3")


def _versions(low: bool, high: bool) -> Callable[[str], VersionChange]:
    def parse(text: str) -> VersionChange:
        version = _version(text)
        return VersionChange(version if low else None, version if high else None)

    return parse


def groups(text: str) -> str:
    """Take a list of groups; OpenSSL reads it."""
    if not text:
        raise BadValueError("Invalid groups list in 'curves'")
    return text


def command(text: str) -> tuple[str, str | None]:
    """Take a command of OpenSSL and its parameter, if it has one; OpenSSL reads them."""
    name, colon, parameter = text.partition(":")
    if not name:
        raise BadValueError("a command is missing")
    return name, parameter if colon else None


CERT = Single[str | None](
    name="cert",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="our certificate and its chain (PEM), or with its key as well (PKCS#12)",
)
CIPHERS = Single(
    name="ciphers",
    scope=Scope.SERVICE,
    parse=text_of("a cipher list"),
    default=DEFAULT_CIPHERS,
    metavar="LIST",
    help="ciphers for TLS 1.2 and older, as OpenSSL writes them",
    default_text=DEFAULT_CIPHERS,
)
CIPHERSUITES = Single[str | None](
    name="ciphersuites",
    scope=Scope.SERVICE,
    parse=anything,
    default=DEFAULT_CIPHERSUITES,
    metavar="LIST",
    help="cipher suites for TLS 1.3; empty for none",
    since="stunnel 5.50",
    default_text=DEFAULT_CIPHERSUITES,
)
CONFIG = Repeated(
    name="config",
    scope=Scope.SERVICE,
    parse=command,
    metavar="COMMAND[:PARAMETER]",
    help="one of OpenSSL's configuration commands (SSL_CONF_cmd(3ssl))",
    since="stunnel 5.0",
)
CURVES = Single[str | None](
    name="curves",
    aliases=("curve",),
    scope=Scope.SERVICE,
    parse=groups,
    default=None,
    metavar="LIST",
    help="groups for the key exchange, the favourite first",
    since="stunnel 5.50",
    default_text=f"{DEFAULT_CURVES} (after X25519MLKEM768 where OpenSSL has it)",
)
KEY = Single[str | None](
    name="key",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="the certificate's private key (PEM); the file named by cert otherwise",
)
KEYLOG = Single[str | None](
    name="keylog",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="file for the keys of all connections, as Wireshark takes them",
    since="gtunnel 0.1",
)
OPTIONS_LINE = Repeated(
    name="options",
    scope=Scope.SERVICE,
    parse=parse_tls_option,
    default=DEFAULT_TLS_OPTIONS,
    metavar="[-]NAME",
    help="set (or clear) one of OpenSSL's options",
    default_text="NO_SSLv2, NO_SSLv3",
)
PSK_IDENTITY = Single[str | None](
    name="PSKidentity",
    scope=Scope.SERVICE,
    parse=text_of("an identity", MAX_PSK_IDENTITY),
    default=None,
    metavar="IDENTITY",
    help="which of the pre-shared keys a client uses; the first one otherwise",
)
PSK_SECRETS = Single[str | None](
    name="PSKsecrets",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="pre-shared keys, a line IDENTITY:KEY for each",
)
RENEGOTIATION = Single(
    name="renegotiation",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="let the peer negotiate anew (clients: with options = ALLOW_CLIENT_RENEGOTIATION)",
)
SECURITY_LEVEL = Single(
    name="securityLevel",
    scope=Scope.SERVICE,
    parse=integer(0, MAX_SECURITY_LEVEL, "Illegal security level"),
    default=2,
    metavar="0..5",
    help="how weak keys, signatures and versions may be (5 is strictest)",
    since="stunnel 5.50",
    default_text="2",
)
# Two options by one name: which one a line is depends on `client`, so `rules` looks at what it says.
SNI = Repeated(
    name="sni",
    scope=Scope.SERVICE,
    parse=server_name,
    metavar="HOST|SERVICE:PATTERN",
    help="name that a client asks the server for; or names of another service that this one serves",
)
SSL_VERSION = Single(
    name="sslVersion",
    scope=Scope.SERVICE,
    parse=_versions(low=True, high=True),
    default=DEFAULT_VERSIONS,
    metavar="VERSION",
    help="the one TLS version to speak (all, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3)",
)
SSL_VERSION_MAX = Single(
    name="sslVersionMax",
    scope=Scope.SERVICE,
    parse=_versions(low=False, high=True),
    default=DEFAULT_VERSIONS,
    metavar="VERSION",
    help="the newest TLS version to speak",
    since="stunnel 5.50",
    default_text="all",
)
SSL_VERSION_MIN = Single(
    name="sslVersionMin",
    scope=Scope.SERVICE,
    parse=_versions(low=True, high=False),
    default=DEFAULT_VERSIONS,
    metavar="VERSION",
    help="the oldest TLS version to speak",
    since="stunnel 5.50",
    default_text="TLSv1",
)

VERSION_OPTIONS = (SSL_VERSION, SSL_VERSION_MIN, SSL_VERSION_MAX)
OPTIONS = (
    CERT,
    CIPHERS,
    CIPHERSUITES,
    CONFIG,
    CURVES,
    KEY,
    KEYLOG,
    OPTIONS_LINE,
    PSK_IDENTITY,
    PSK_SECRETS,
    RENEGOTIATION,
    SECURITY_LEVEL,
    SNI,
    *VERSION_OPTIONS,
)
