"""`options = [-]NAME`: OpenSSL's SSL_OP_ flags by name.

The names are OpenSSL's (SSL_CTX_set_options(3ssl)), those that no version has any more included: setting them asked
for work-arounds that are always or never on now. Which of them the linked OpenSSL has is `tls`' business.
"""

from gtunnel.conf.option import BadValueError
from gtunnel.conf.similar import suggestion

_SPELLINGS = """
    ALL ALLOW_CLIENT_RENEGOTIATION ALLOW_NO_DHE_KEX ALLOW_UNSAFE_LEGACY_RENEGOTIATION CIPHER_SERVER_PREFERENCE
    CISCO_ANYCONNECT CLEANSE_PLAINTEXT COOKIE_EXCHANGE CRYPTOPRO_TLSEXT_BUG DISABLE_TLSEXT_CA_NAMES
    DONT_INSERT_EMPTY_FRAGMENTS ENABLE_KTLS ENABLE_KTLS_TX_ZEROCOPY_SENDFILE ENABLE_MIDDLEBOX_COMPAT EPHEMERAL_RSA
    IGNORE_UNEXPECTED_EOF LEGACY_SERVER_CONNECT MICROSOFT_BIG_SSLV3_BUFFER MICROSOFT_SESS_ID_BUG
    MSIE_SSLV2_RSA_PADDING NETSCAPE_CA_DN_BUG NETSCAPE_CHALLENGE_BUG NETSCAPE_DEMO_CIPHER_CHANGE_BUG
    NETSCAPE_REUSE_CIPHER_CHANGE_BUG NO_ANTI_REPLAY NO_COMPRESSION NO_DTLS_MASK NO_DTLSv1 NO_DTLSv1_2
    NO_ENCRYPT_THEN_MAC NO_EXTENDED_MASTER_SECRET NO_QUERY_MTU NO_RENEGOTIATION NO_RX_CERTIFICATE_COMPRESSION
    NO_SESSION_RESUMPTION_ON_RENEGOTIATION NO_SSL_MASK NO_SSLv2 NO_SSLv3 NO_TICKET NO_TLSv1 NO_TLSv1_1 NO_TLSv1_2
    NO_TLSv1_3 NO_TX_CERTIFICATE_COMPRESSION PKCS1_CHECK_1 PKCS1_CHECK_2 PREFER_NO_DHE_KEX PRIORITIZE_CHACHA
    SAFARI_ECDHE_ECDSA_BUG SINGLE_DH_USE SINGLE_ECDH_USE SSLEAY_080_CLIENT_DH_BUG SSLREF2_REUSE_CERT_TYPE_BUG
    TLS_BLOCK_PADDING_BUG TLS_D5_BUG TLSEXT_PADDING TLS_ROLLBACK_BUG
"""
NAMES: tuple[str, ...] = tuple(_SPELLINGS.split())
_PROPER = {name.lower(): name for name in NAMES}

# What stunnel sets before it reads the file; `options = -NO_SSLv3` takes it back.
DEFAULTS: tuple[tuple[str, bool], ...] = (("NO_SSLv2", True), ("NO_SSLv3", True))


def parse_tls_option(text: str) -> tuple[str, bool]:
    """Read `[-]NAME` in any case into OpenSSL's spelling and whether to set it. Raises `BadValueError`."""
    name = text.removeprefix("-").strip()
    if name.lower() not in _PROPER:
        meant = suggestion(name, NAMES)
        raise BadValueError(f"Illegal TLS option: {name!r} is unknown; gtunnel -options lists them{meant}")
    return _PROPER[name.lower()], not text.startswith("-")
