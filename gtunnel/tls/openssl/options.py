"""OpenSSL's options, SSL_OP_…: their names, their bits, and setting and clearing them on a context.

cryptography's bindings list only some of them. The others are known by their bits, which are part of OpenSSL's ABI
since version 3 (ssl.h); the table is used only where it agrees with all that the bindings do list.
"""

from ctypes import c_uint64, c_void_p
from functools import cache, reduce
from operator import or_
from typing import Final

from OpenSSL import SSL
from OpenSSL._util import lib

from gtunnel.tls.openssl import native

_PREFIX: Final = "SSL_OP_"

# By the number of the bit.
_BITS: Final = {
    "NO_EXTENDED_MASTER_SECRET": 0,
    "CLEANSE_PLAINTEXT": 1,
    "LEGACY_SERVER_CONNECT": 2,
    "ENABLE_KTLS": 3,
    "TLSEXT_PADDING": 4,
    "SAFARI_ECDHE_ECDSA_BUG": 6,
    "IGNORE_UNEXPECTED_EOF": 7,
    "ALLOW_CLIENT_RENEGOTIATION": 8,
    "DISABLE_TLSEXT_CA_NAMES": 9,
    "ALLOW_NO_DHE_KEX": 10,
    "DONT_INSERT_EMPTY_FRAGMENTS": 11,
    "NO_QUERY_MTU": 12,
    "COOKIE_EXCHANGE": 13,
    "NO_TICKET": 14,
    "CISCO_ANYCONNECT": 15,
    "NO_SESSION_RESUMPTION_ON_RENEGOTIATION": 16,
    "NO_COMPRESSION": 17,
    "ALLOW_UNSAFE_LEGACY_RENEGOTIATION": 18,
    "NO_ENCRYPT_THEN_MAC": 19,
    "ENABLE_MIDDLEBOX_COMPAT": 20,
    "PRIORITIZE_CHACHA": 21,
    "CIPHER_SERVER_PREFERENCE": 22,
    "TLS_ROLLBACK_BUG": 23,
    "NO_ANTI_REPLAY": 24,
    "NO_SSLv3": 25,
    "NO_TLSv1": 26,
    "NO_DTLSv1": 26,
    "NO_TLSv1_2": 27,
    "NO_DTLSv1_2": 27,
    "NO_TLSv1_1": 28,
    "NO_TLSv1_3": 29,
    "NO_RENEGOTIATION": 30,
    "CRYPTOPRO_TLSEXT_BUG": 31,
}
# Those that a later version brought: its number as OpenSSL_version_num(3ssl) has it, and the bit.
_LATER: Final = {
    "NO_TX_CERTIFICATE_COMPRESSION": (0x30200000, 32),
    "NO_RX_CERTIFICATE_COMPRESSION": (0x30200000, 33),
    "ENABLE_KTLS_TX_ZEROCOPY_SENDFILE": (0x30200000, 34),
    "PREFER_NO_DHE_KEX": (0x30300000, 35),
}
# Names for several at once.
_SETS: Final = {
    "ALL": ("CRYPTOPRO_TLSEXT_BUG", "DONT_INSERT_EMPTY_FRAGMENTS", "TLSEXT_PADDING", "SAFARI_ECDHE_ECDSA_BUG"),
    "NO_SSL_MASK": ("NO_SSLv3", "NO_TLSv1", "NO_TLSv1_1", "NO_TLSv1_2", "NO_TLSv1_3"),
    "NO_DTLS_MASK": ("NO_DTLSv1", "NO_DTLSv1_2"),
}
# Names of what is always, or never, done now. They are taken, and change nothing (ssl.h).
_WITHOUT_EFFECT: Final = (
    "MICROSOFT_SESS_ID_BUG",
    "NETSCAPE_CHALLENGE_BUG",
    "NETSCAPE_REUSE_CIPHER_CHANGE_BUG",
    "SSLREF2_REUSE_CERT_TYPE_BUG",
    "MICROSOFT_BIG_SSLV3_BUFFER",
    "MSIE_SSLV2_RSA_PADDING",
    "SSLEAY_080_CLIENT_DH_BUG",
    "TLS_D5_BUG",
    "TLS_BLOCK_PADDING_BUG",
    "SINGLE_ECDH_USE",
    "SINGLE_DH_USE",
    "EPHEMERAL_RSA",
    "NO_SSLv2",
    "PKCS1_CHECK_1",
    "PKCS1_CHECK_2",
    "NETSCAPE_CA_DN_BUG",
    "NETSCAPE_DEMO_CIPHER_CHANGE_BUG",
)


@cache
def numbers() -> dict[str, int]:
    """Every option that this OpenSSL knows, without the prefix, and its bits. Sorted by name."""
    listed = {name.removeprefix(_PREFIX): int(getattr(lib, name)) for name in dir(lib) if name.startswith(_PREFIX)}
    known = _table(lib.OpenSSL_version_num())
    if any(known.get(name, bits) != bits for name, bits in listed.items()):
        known = {}
    return dict(sorted((known | listed).items()))


def _table(version: int) -> dict[str, int]:
    later = {name: bit for name, (since, bit) in _LATER.items() if version >= since}
    bits = {name: 1 << bit for name, bit in (_BITS | later).items()}
    sets = {name: reduce(or_, (bits[part] for part in parts)) for name, parts in _SETS.items()}
    return bits | sets | dict.fromkeys(_WITHOUT_EFFECT, 0)


def get(context: SSL.Context) -> int:
    """The options of a context."""
    return int(lib.SSL_CTX_get_options(context._context))


def become(context: SSL.Context, wanted: int) -> bool:
    """Set and clear options until they are those. False, and nothing changed, if that takes clearing and cannot."""
    surplus = get(context) & ~wanted
    if surplus and not can_clear():
        return False
    lib.SSL_CTX_set_options(context._context, wanted)
    if surplus:
        _clear(context, surplus)
    return True


def can_clear() -> bool:
    """Whether this build can clear what is set. PyPI's wheels cannot."""
    return hasattr(lib, "SSL_CTX_clear_options") or native.SHARED


def _clear(context: SSL.Context, bits: int) -> None:
    if hasattr(lib, "SSL_CTX_clear_options"):
        lib.SSL_CTX_clear_options(context._context, bits)
    else:
        native.demand("SSL_CTX_clear_options", c_uint64, c_void_p, c_uint64)(native.pointer(context._context), bits)
