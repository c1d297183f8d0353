"""The keys of a TLS 1.3 connection as the kernel takes them (include/uapi/linux/tls.h), from its traffic secrets.

What is here must be neither logged nor shown: `repr` has none of it.
"""

import struct
from collections.abc import Callable
from dataclasses import field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from gtunnel.values import dataclass

_TLS_1_3: Final = 0x0304
_NONCE_BYTES: Final = 12
_SEQUENCE_BYTES: Final = 8
# The content types of records (RFC 8446, section 5.1).
ALERT: Final = 21
HANDSHAKE: Final = 22
DATA: Final = 23


@dataclass(frozen=True, slots=True)
class Cipher:
    """A cipher suite that the kernel knows, by `number`. `salt_bytes`: how much of the nonce stands behind the key."""

    number: int
    key_bytes: int
    salt_bytes: int
    algorithm: Callable[[], hashes.HashAlgorithm]
    aead: Callable[[bytes], AESGCM | ChaCha20Poly1305]


CIPHERS: Final = {
    "TLS_AES_128_GCM_SHA256": Cipher(51, 16, 4, hashes.SHA256, AESGCM),
    "TLS_AES_256_GCM_SHA384": Cipher(52, 32, 4, hashes.SHA384, AESGCM),
    "TLS_CHACHA20_POLY1305_SHA256": Cipher(54, 32, 0, hashes.SHA256, ChaCha20Poly1305),
}


@dataclass(frozen=True, slots=True)
class DirectionKey:
    """What protects the records of one direction."""

    cipher: Cipher
    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)

    @classmethod
    def of(cls, cipher: Cipher, secret: bytes) -> "DirectionKey":
        """From a traffic secret (RFC 8446, section 7.3)."""
        key = expand_label(cipher.algorithm(), secret, b"key", cipher.key_bytes)
        return cls(cipher, key, expand_label(cipher.algorithm(), secret, b"iv", _NONCE_BYTES))

    def crypto_info(self, sequence: int) -> bytes:
        """The kernel's `struct tls12_crypto_info_…`; `sequence` is the next record's number."""
        salt, iv = self.nonce[: self.cipher.salt_bytes], self.nonce[self.cipher.salt_bytes :]
        head = struct.pack("=HH", _TLS_1_3, self.cipher.number)
        return head + iv + self.key + salt + sequence.to_bytes(_SEQUENCE_BYTES)

    def open(self, record: bytes, sequence: int) -> tuple[int, bytes] | None:
        """The content type and the content of a record; None if it was not protected by this, with that number."""
        nonce = int.from_bytes(self.nonce) ^ sequence
        try:
            inner = self.cipher.aead(self.key).decrypt(nonce.to_bytes(_NONCE_BYTES), record[5:], record[:5])
        except (InvalidTag, ValueError):
            return None
        # RFC 8446, section 5.4: zeros stand behind the type.
        content = inner.rstrip(b"\0")
        return (content[-1], content[:-1]) if content else None


class Secrets:
    """The traffic secrets of one connection: what OpenSSL has to say for a key log."""

    __slots__ = ("client", "server")

    def __init__(self) -> None:
        self.client = b""
        self.server = b""

    def take(self, line: bytes) -> None:
        """A line of the key log (draft-ietf-tls-keylogfile)."""
        label, _, rest = line.partition(b" ")
        secret = rest.rpartition(b" ")[2]
        if label == b"CLIENT_TRAFFIC_SECRET_0":
            self.client = bytes.fromhex(secret.decode("ascii"))
        elif label == b"SERVER_TRAFFIC_SECRET_0":
            self.server = bytes.fromhex(secret.decode("ascii"))


def expand_label(algorithm: hashes.HashAlgorithm, secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label without a context (RFC 8446, section 7.1)."""
    label = b"tls13 " + label
    info = struct.pack("!HB", length, len(label)) + label + b"\0"
    return HKDFExpand(algorithm=algorithm, length=length, info=info).derive(secret)
