"""Options of TLS: what a service offers and presents.

`sslVersion` and its two relatives are changes that are applied in the order written, as in stunnel: the later line
wins, and `sslVersion` sets both bounds.
"""

from collections.abc import Callable

from gtunnel.conf.option import BadValueError, Repeated, Scope, Single, Topic
from gtunnel.conf.parsers import anything, choice, integer, path, server_name, text_of, yes_no
from gtunnel.conf.settings import TlsVersion
from gtunnel.conf.tlsoptions import DEFAULTS as DEFAULT_TLS_OPTIONS
from gtunnel.conf.tlsoptions import parse_tls_option
from gtunnel.values import dataclass

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
    topic=Topic.IDENTITY,
    more=(
        "PEM: our certificate first, then those that it leads to, without the root; it may hold the private key and "
        "Diffie-Hellman parameters as well. PKCS#12 brings its own key and chain. Encrypted files are asked about "
        "on the terminal at start. RSA, ECDSA and Ed25519 keys work. A server needs one, or PSKsecrets; a client "
        "presents it when the server asks. Of several lines the last one counts."
    ),
)
CIPHERS = Single(
    name="ciphers",
    scope=Scope.SERVICE,
    parse=text_of("a cipher list"),
    default=DEFAULT_CIPHERS,
    metavar="LIST",
    help="ciphers for TLS 1.2 and older, as OpenSSL writes them",
    default_text=DEFAULT_CIPHERS,
    topic=Topic.POLICY,
    more=(
        "As openssl-ciphers(1) explains, for TLS 1.2 and older; `ciphersuites` is about TLS 1.3. A `@SECLEVEL=N` in "
        "the list wins over securityLevel. DHE is off by default: `ciphers = HIGH:!aNULL` lets it in, with "
        "parameters from the certificate's file, or ffdhe2048. With the defaults of both, a server chooses by its own "
        "order, and `options = -CIPHER_SERVER_PREFERENCE` leaves the choice to clients, as a list of your own does."
    ),
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
    topic=Topic.POLICY,
    more="Names joined by colons. TLS 1.3 itself is switched off by `sslVersionMax = TLSv1.2`.",
)
CONFIG = Repeated(
    name="config",
    scope=Scope.SERVICE,
    parse=command,
    metavar="COMMAND[:PARAMETER]",
    help="one of OpenSSL's configuration commands (SSL_CONF_cmd(3ssl))",
    since="stunnel 5.0",
    topic=Topic.POLICY,
    more=(
        "Commands as they stand in OpenSSL's configuration files, such as `config = "
        "SignatureAlgorithms:ed25519:RSA-PSS+SHA256`. They run after the other options of this chapter, in the "
        "order written, and before certificates are loaded. With PyPI's wheels only those run that the bindings can "
        "do (`gtunnel -version` lists them), and the others are refused, naming the option to use instead if there "
        "is one."
    ),
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
    topic=Topic.POLICY,
    more=(
        "Such as `curves = X25519:P-256`. The default begins with the post-quantum hybrid where OpenSSL has it (3.5 "
        "and newer), so recorded traffic stays secret even from tomorrow's computers. A name that OpenSSL does not "
        "know is refused."
    ),
)
KEY = Single[str | None](
    name="key",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="the certificate's private key (PEM); the file named by cert otherwise",
    topic=Topic.IDENTITY,
    more=(
        "Keep it readable for root only: `gtunnel check` and the log warn of a key that others can read. It is read "
        "before setuid and chroot. If it is encrypted, the terminal is asked for its passphrase at the start (three "
        "tries), which reloads use again. Without `cert` it has no effect."
    ),
)
KEYLOG = Single[str | None](
    name="keylog",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="file for the keys of all connections, as Wireshark takes them",
    since="gtunnel 0.1",
    topic=Topic.POLICY,
    more=(
        "Whoever has this file can decrypt recorded connections: use it to find a problem, then remove it; each "
        "start warns about it. Made with mode 0600, appended to, never through a symbolic link. Opened when the "
        "configuration is compiled, by whoever starts gtunnel."
    ),
)
OPTIONS_LINE = Repeated(
    name="options",
    scope=Scope.SERVICE,
    parse=parse_tls_option,
    default=DEFAULT_TLS_OPTIONS,
    metavar="[-]NAME",
    help="set (or clear) one of OpenSSL's options",
    default_text="NO_SSLv2, NO_SSLv3",
    topic=Topic.POLICY,
    more=(
        "Names without `SSL_OP_`, in any case; `gtunnel -options` lists what this OpenSSL knows. A minus sign "
        "clears, and of several lines about the same option the last counts. Often wanted: `options = NO_TICKET`, "
        "`options = CIPHER_SERVER_PREFERENCE`, and `options = IGNORE_UNEXPECTED_EOF` for peers that never send "
        "close_notify. With PyPI's wheels, what OpenSSL sets by itself cannot be cleared; that is refused, not "
        "ignored. `options = ENABLE_KTLS` lets the kernel go on with a connection of TLS 1.3 (AES-GCM or "
        "ChaCha20-Poly1305) once 256 KiB have gone through it, which takes less processor time for bulk data "
        "(docs/performance.md). Where the kernel has no TLS, that is warned of at start. A peer that then changes its "
        "keys (KeyUpdate) has its connection ended: no kernel of Debian's can follow. "
        "`ENABLE_KTLS_TX_ZEROCOPY_SENDFILE` has no effect."
    ),
)
PSK_IDENTITY = Single[str | None](
    name="PSKidentity",
    scope=Scope.SERVICE,
    parse=text_of("an identity", MAX_PSK_IDENTITY),
    default=None,
    metavar="IDENTITY",
    help="which of the pre-shared keys a client uses; the first one otherwise",
    topic=Topic.IDENTITY,
    more=(
        "Has to be in the file that `PSKsecrets` names. A server takes all keys of its file, so it has no effect there."
    ),
)
PSK_SECRETS = Single[str | None](
    name="PSKsecrets",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="pre-shared keys, a line IDENTITY:KEY for each",
    topic=Topic.IDENTITY,
    more=(
        "A key has 16 to 256 bytes. If it consists of pairs of hexadecimal digits it is what they stand for, so 32 "
        "digits or more; else it is the text itself. Empty lines do not count. Works with TLS 1.2 and 1.3, in both "
        "modes, and instead of certificates: both sides then prove that they know the key. `ciphers = PSK` lets "
        "nothing else pass with TLS 1.2. Guard the file like a private key."
    ),
)
RENEGOTIATION = Single(
    name="renegotiation",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="let the peer negotiate anew (clients: with options = ALLOW_CLIENT_RENEGOTIATION)",
    topic=Topic.POLICY,
    more=(
        "TLS 1.2 and older; TLS 1.3 has none. OpenSSL refuses clients anyway unless `options = "
        "ALLOW_CLIENT_RENEGOTIATION`. Five times a minute at most, and the peer has to stay who it was."
    ),
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
    topic=Topic.POLICY,
    more=(
        "1 demands 80 bits of security (RSA of 1024 bits), 2 demands 112 (RSA and DH of 2048 bits), 3 demands 128, "
        "4 demands 192, 5 demands 256. TLS 1.0 and 1.1 need `securityLevel = 0` as well as `sslVersionMin`, since "
        "their signatures use SHA-1. It applies to our own certificate, too."
    ),
)
# Two options by one name: which one a line is depends on `client`, so `rules` looks at what it says.
SNI = Repeated(
    name="sni",
    scope=Scope.SERVICE,
    parse=server_name,
    metavar="HOST|SERVICE:PATTERN",
    help="name that a client asks the server for; or names of another service that this one serves",
    topic=Topic.IDENTITY,
    more=(
        "In client mode: the name sent to the server; an empty value sends none. By default the host of `connect`, "
        "if it is a name and not an address. In server mode, `sni = web:www.example.com` makes this service serve "
        "those clients of the service in `[web]` who ask for that name, with a certificate, verification and target "
        "of its own; it has no `accept` then. `sni = web:*.example.com` takes all names that end so. Several lines "
        "add up, and names that nobody takes stay with the first service, which has to be a server, too."
    ),
)
SSL_VERSION = Single(
    name="sslVersion",
    scope=Scope.SERVICE,
    parse=_versions(low=True, high=True),
    default=DEFAULT_VERSIONS,
    metavar="VERSION",
    help="the one TLS version to speak (all, SSLv3, TLSv1, TLSv1.1, TLSv1.2, TLSv1.3)",
    topic=Topic.POLICY,
    more=(
        "Sets `sslVersionMin` and `sslVersionMax` at once: `sslVersion = TLSv1.2` allows that one only, `sslVersion "
        "= all` whatever OpenSSL has. Of these three options, later lines count."
    ),
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
    topic=Topic.POLICY,
    more=(
        "One of `all`, `SSLv3`, `TLSv1`, `TLSv1.1`, `TLSv1.2` and `TLSv1.3`, as far as OpenSSL has it; `all` means "
        "the newest. Must not be older than `sslVersionMin`."
    ),
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
    topic=Topic.POLICY,
    more=(
        "Values as for `sslVersionMax`. By default TLS 1.2 is the oldest that works, because `securityLevel` 2 "
        "rules out older ones; `sslVersionMin = TLSv1.3` suits services whose peers are all up to date."
    ),
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
