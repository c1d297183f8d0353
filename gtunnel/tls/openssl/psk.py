"""Pre-shared keys: OpenSSL's callbacks for TLS 1.2, which it also asks with TLS 1.3
(SSL_CTX_set_psk_client_callback(3)).

With TLS 1.3 such a key goes with SHA-256 only: TLS_AES_128_GCM_SHA256 or TLS_CHACHA20_POLY1305_SHA256.
"""

from collections.abc import Callable

from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from gtunnel.tls.openssl.verify import keep

# Connection and identity -> key, or None if there is none by that name.
Find = Callable[[SSL.Connection, bytes], bytes | None]
# Connection -> identity and key.
Choose = Callable[[SSL.Connection], tuple[bytes, bytes]]


def set_server_keys(context: SSL.Context, find: Find) -> None:
    """Let clients prove themselves by keys. `find` must not raise."""

    def server(ssl: object, identity: object, key: object, room: int) -> int:
        connection = SSL.Connection._reverse_mapping.get(ssl)
        found = None if connection is None else find(connection, bytes(ffi.string(identity)))
        return _give(found, key, room)

    callback = ffi.callback("unsigned int(SSL *, const char *, unsigned char *, unsigned int)", server, error=0)
    lib.SSL_CTX_set_psk_server_callback(context._context, callback)
    keep(context, callback)


def set_client_key(context: SSL.Context, choose: Choose) -> None:
    """Prove ourselves to servers by a key. `choose` must not raise."""

    def client(ssl: object, _: object, name: object, name_room: int, key: object, room: int) -> int:
        connection = SSL.Connection._reverse_mapping.get(ssl)
        if connection is None:
            return 0
        identity, secret = choose(connection)
        # With a terminating NUL.
        if len(identity) >= name_room:
            return 0
        ffi.memmove(name, identity + b"\0", len(identity) + 1)
        return _give(secret, key, room)

    callback = ffi.callback(
        "unsigned int(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)", client, error=0
    )
    lib.SSL_CTX_set_psk_client_callback(context._context, callback)
    keep(context, callback)


def _give(secret: bytes | None, key: object, room: int) -> int:
    """Copy a key to where OpenSSL wants it; how long it is, 0 for none."""
    if secret is None or len(secret) > room:
        return 0
    ffi.memmove(key, secret, len(secret))
    return len(secret)
