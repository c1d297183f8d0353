"""Why a handshake failed, in words that an administrator can act on: a function of OpenSSL's reason and what was seen.

OpenSSL's own words stay in the line, because log filters match them; what is said here stands behind them. Its reasons
for alerts differ between versions ("sslv3 alert bad certificate", "tls alert bad certificate"): what follows "alert"
does not.
"""

from collections.abc import Callable
from typing import Final

from gtunnel.conf.settings import ServiceSettings, TlsVersion
from gtunnel.tls.hello import TLS1_2, ClientHello
from gtunnel.tls.openssl import binding
from gtunnel.values import dataclass

_ALERT: Final = "alert "
# Enough of a long list to see what kind of peer it is.
MAX_NAMES: Final = 8
# As much of a peer's first bytes as tells what it speaks, and no secrets.
MAX_BYTES: Final = 8
# Of a command there is less: behind its word may be a password.
MAX_COMMAND_BYTES: Final = 4

_VERSIONS: Final = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
# IANA, TLS Supported Groups.
_GROUPS: Final = {
    23: "P-256",
    24: "P-384",
    25: "P-521",
    29: "X25519",
    30: "X448",
    256: "ffdhe2048",
    257: "ffdhe3072",
    258: "ffdhe4096",
    4587: "SecP256r1MLKEM768",
    4588: "X25519MLKEM768",
    4589: "SecP384r1MLKEM1024",
}
_HTTP: Final = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"PRI ")
# SOCKS 5 and 4: the first bytes of a client's hello, which may be shorter than a TLS record's header.
SOCKS: Final = (b"\x05", b"\x04\x01")
# What a peer that speaks no TLS says first, and what that is.
_CLIENT_WORDS: Final = (
    *((word, "peer spoke plain HTTP on a TLS port") for word in _HTTP),
    (b"CONNECT ", "peer took us for an HTTP proxy: it spoke plain HTTP on a TLS port"),
    (b"SSH-", "peer spoke SSH on a TLS port"),
    (b"PROXY ", "peer sent a PROXY header: a load balancer before us has it switched on"),
    (b"\r\n\r\n\x00\r\nQUIT\n", "peer sent a PROXY header (version 2): a load balancer before us has it switched on"),
    (b"EHLO", "peer spoke plain SMTP on a TLS port"),
    (b"HELO", "peer spoke plain SMTP on a TLS port"),
    (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "peer asks for TLS in PostgreSQL's way"),
    (SOCKS[0], "peer spoke SOCKS 5 on a TLS port"),
    (SOCKS[1], "peer spoke SOCKS 4 on a TLS port"),
    (b"\x03\x00", "peer spoke RDP on a TLS port"),
)
_SERVER_WORDS: Final = (
    (b"HTTP/", "server spoke plain HTTP: connect to its TLS port"),
    (b"SSH-", "server spoke SSH, not TLS"),
    (b"220 ", "server greeted in plain SMTP (or FTP): connect to its TLS port, or use STARTTLS"),
    (b"220-", "server greeted in plain SMTP (or FTP): connect to its TLS port, or use STARTTLS"),
    (b"+OK", "server greeted in plain POP3: connect to its TLS port, or use STARTTLS"),
    (b"* OK", "server greeted in plain IMAP: connect to its TLS port, or use STARTTLS"),
    (b"RFB ", "server spoke VNC, not TLS"),
)
# What alerts say of us (RFC 8446, section 6.2), by the words that follow "alert" in OpenSSL's reason.
_ALERTS: Final = {
    "unknown ca": "peer does not trust the issuer of our certificate",
    "bad certificate": "peer refused our certificate",
    "unsupported certificate": "peer cannot use our certificate: its key, signature or purpose",
    "certificate revoked": "peer says that our certificate was revoked",
    "certificate expired": "peer says that our certificate has expired, or its clock is wrong",
    "certificate unknown": "peer refused our certificate: its own log knows why",
    "certificate required": "server demands a client certificate: set cert",
    "unrecognized name": "server does not know the name that it was asked for: set sni",
    "protocol version": "peer speaks none of the TLS versions that we offer",
    "insufficient security": "peer demands stronger ciphers or keys",
    "access denied": "peer knows who we are, and refuses us",
    "unknown psk identity": "peer does not know our PSKidentity",
    "decrypt error": "peer could not verify a signature or a pre-shared key of ours",
    "bad record mac": "peer could not decrypt what we sent: different pre-shared keys, or a damaged connection",
    "no application protocol": "peer wants an application protocol (ALPN) that we do not offer",
    "inappropriate fallback": "peer speaks a newer version, and took our offer for a downgrade",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is known of a handshake that failed. `first` are the peer's first bytes, `hello` a client's, if it was one;
    `rejected` what verification said of the peer's certificate."""

    settings: ServiceSettings
    first: bytes
    hello: ClientHello | None
    rejected: str
    cipher_name: Callable[[int], str | None] = binding.cipher_name


def explain(reason: str, scene: Scene) -> str:
    """What to add to OpenSSL's reason; empty if that says all."""
    words = reason.rpartition(":")[2].strip().lower()
    if _ALERT in words:
        return explain_alert(reason, scene.settings)
    if scene.rejected and "certificate verify failed" in words:
        return scene.rejected
    if (told := _other_protocol(scene)) is not None:
        return told
    for reasons, explanation in _EXPLANATIONS:
        if words in reasons:
            return explanation(scene)
    return ""


def explain_alert(reason: str, settings: ServiceSettings) -> str:
    """What an alert of the peer's says; empty if `reason` is none, or says all. With TLS 1.3 it may come after a client
    took the handshake for finished."""
    _, found, alert = reason.strip().lower().rpartition(_ALERT)
    if not found:
        return ""
    if alert == "handshake failure":
        if settings.client:
            without = "" if settings.tls.cert is not None else ", or it demands a client certificate"
            return f"server accepts none of our ciphers, groups or signatures{without}"
        return "client accepts none of our ciphers, groups or signatures"
    return _ALERTS.get(alert, "")


def _other_protocol(scene: Scene) -> str | None:
    """What the peer speaks instead of TLS; None if it does speak it, or said nothing."""
    first = scene.first
    if not first or first[0] in {20, 21, 22}:
        return None
    protocol = scene.settings.protocol.name
    if protocol is not None and protocol.begins_plain:
        who = "server" if scene.settings.client else "client"
        shown = first[:MAX_COMMAND_BYTES].hex(" ")
        return f"the {who} went on in plaintext where TLS should begin (its bytes: {shown})"
    for word, told in _SERVER_WORDS if scene.settings.client else _CLIENT_WORDS:
        if first.startswith(word):
            return told
    if first[0] & 0x80 and first[2:3] == b"\x01" and not scene.settings.client:
        return "client offers an SSL 2.0 hello, which nobody speaks any more"
    who = "server" if scene.settings.client else "peer"
    return f"{who} does not speak TLS (its first bytes: {first[:MAX_BYTES].hex(' ')})"


def _versions(scene: Scene) -> str:
    hello, tls = scene.hello, scene.settings.tls
    if hello is None:
        return ""
    newest = _VERSIONS.get(hello.newest, f"version {hello.newest:#06x}")
    offers = f"client offers {newest} at most"
    if tls.version_min in {TlsVersion.ALL, TlsVersion.SSLV3, TlsVersion.TLSV1, TlsVersion.TLSV1_1}:
        oldest = [_VERSIONS[version] for version in sorted(hello.versions) if version in _VERSIONS]
        if hello.newest > _number(tls.version_max):
            return f"client offers {oldest[0] if oldest else newest} at least, sslVersionMax is {tls.version_max.value}"
        return f"{offers}, and securityLevel = {tls.security_level} allows TLS 1.2 and newer"
    if hello.newest < _number(tls.version_min):
        return f"{offers}, sslVersionMin is {tls.version_min.value}"
    return f"client offers {newest}, sslVersionMax is {tls.version_max.value}"


def _number(version: TlsVersion) -> int:
    order = (TlsVersion.SSLV3, TlsVersion.TLSV1, TlsVersion.TLSV1_1, TlsVersion.TLSV1_2, TlsVersion.TLSV1_3)
    return 0x0300 + order.index(version) if version in order else 0xFFFF


def _ciphers(scene: Scene) -> str:
    if scene.hello is None:
        return ""
    # The suites of TLS 1.3 begin with 0x13 (RFC 8446, appendix B.4), and are of no use where that is not spoken.
    spoken = scene.settings.tls.version_max in {TlsVersion.ALL, TlsVersion.TLSV1_3}
    numbers = [number for number in scene.hello.ciphers if not _is_marker(number) and (spoken or number >> 8 != 0x13)]
    names = [scene.cipher_name(number) or f"{number:#06x}" for number in numbers]
    # Without a group in common there is no cipher either, in TLS 1.2.
    with_groups = f", with groups {_group_names(scene.hello)}" if scene.hello.groups else ""
    return f"peer offers {_listed(names)}{with_groups}"


def _groups(scene: Scene) -> str:
    return "" if scene.hello is None else f"peer offers groups {_group_names(scene.hello)}"


def _group_names(hello: ClientHello) -> str:
    return _listed([_GROUPS.get(number, f"{number:#06x}") for number in hello.groups if not _is_marker(number)])


def _signatures(scene: Scene) -> str:
    if scene.hello is not None and scene.hello.newest < TLS1_2:
        # Older versions sign with SHA-1 and MD5, which is as far as OpenSSL 3.0 comes in refusing them.
        return _versions(scene)
    return "peer accepts no signature that our certificate's key can make"


def _certificate(scene: Scene) -> str:
    if not scene.settings.verification.request:
        return ""
    return "client has no certificate, or none of the CAs in CAfile"


def _ended(scene: Scene) -> str:
    if scene.settings.client:
        return "server closed the connection during the handshake"
    return "peer closed the connection during the handshake"


def _is_marker(number: int) -> bool:
    # Renegotiation and fallback signals (RFC 5746, RFC 7507), and GREASE (RFC 8701): no ciphers.
    return number in {0x00FF, 0x5600} or number & 0x0F0F == 0x0A0A


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + rest


_EXPLANATIONS: Final[tuple[tuple[frozenset[str], Callable[[Scene], str]], ...]] = (
    (
        frozenset({"unsupported protocol", "version too low", "version too high", "no protocols available"}),
        _versions,
    ),
    (frozenset({"no shared cipher", "no ciphers available", "no ciphers specified"}), _ciphers),
    (frozenset({"no suitable key share", "no shared group", "no suitable groups", "no shared groups"}), _groups),
    (frozenset({"no suitable signature algorithm", "no shared signature algorithms"}), _signatures),
    (frozenset({"peer did not return a certificate"}), _certificate),
    (frozenset({"unexpected eof while reading"}), _ended),
)
