"""NTLM's three messages, as a client of a HTTP proxy says them ([MS-NLMP], [MS-NTHT]), with NTLMv2 and nothing older.

What is here of NTLM proves a password without showing it. It is weak all the same: whoever listens may guess the
password at leisure.
"""

import hmac
import struct
from dataclasses import field
from hashlib import md5
from typing import Final

from gtunnel.values import dataclass
from gtunnel.wire.errors import ProtocolError
from gtunnel.wire.md4 import md4

SIGNATURE: Final = b"NTLMSSP\0"
_UNICODE, _OEM, _REQUEST_TARGET, _NTLM, _ALWAYS_SIGN, _EXTENDED = 0x1, 0x2, 0x4, 0x200, 0x8000, 0x80000
FLAGS: Final = _UNICODE | _OEM | _REQUEST_TARGET | _NTLM | _ALWAYS_SIGN | _EXTENDED
_TARGET_INFO: Final = 0x800000
_HEADER: Final = 64
# Attribute-value pairs of the target information (2.2.2.1).
_END, _TIMESTAMP = 0, 7
# From 1601 to 1970, in units of 100 ns.
_EPOCH: Final = 116444736000000000
_UNITS: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a server says: eight bytes, what it is, and what it can (`flags`)."""

    nonce: bytes
    info: bytes
    flags: int

    @property
    def timestamp(self) -> bytes | None:
        """The server's clock; None if it does not tell."""
        left = self.info
        while len(left) >= 4:
            kind, size = struct.unpack_from("<HH", left)
            if kind == _END or len(left) < 4 + size:
                break
            if kind == _TIMESTAMP and size == 8:
                return left[4:12]
            left = left[4 + size :]
        return None


@dataclass(frozen=True, slots=True)
class Login:
    """Who says it. `nonce` (8 random bytes) and `seconds` (since 1970) are this one login's."""

    user: str
    domain: str
    password: str = field(repr=False)
    nonce: bytes
    seconds: float


def negotiate() -> bytes:
    """The first message: what we can."""
    return SIGNATURE + struct.pack("<II", 1, FLAGS) + bytes(16)


def read_challenge(message: bytes) -> Challenge:
    """The second. Raises `ProtocolError`."""
    if len(message) < 32 or not message.startswith(SIGNATURE) or message[8:12] != b"\x02\0\0\0":
        raise ProtocolError(protocol="connect", reason="the proxy's NTLM challenge is none")
    (flags,) = struct.unpack_from("<I", message, 20)
    info = b""
    if flags & _TARGET_INFO and len(message) >= 48:
        size, _, offset = struct.unpack_from("<HHI", message, 40)
        info = message[offset : offset + size]
        if len(info) < size:
            raise ProtocolError(protocol="connect", reason="the proxy's NTLM challenge is cut short")
    return Challenge(message[24:32], info, flags)


def authenticate(challenge: Challenge, login: Login) -> bytes:
    """The third: the proof."""
    key = _key(login)
    clock = challenge.timestamp
    if clock is None:
        clock = struct.pack("<Q", int(login.seconds * _UNITS) + _EPOCH)
        lm = _mac(key, challenge.nonce + login.nonce) + login.nonce
    else:
        # 3.1.5.1.2: with a timestamp, LMv2 is not computed.
        lm = bytes(24)
    claim = b"\x01\x01" + bytes(6) + clock + login.nonce + bytes(4) + challenge.info + bytes(4)
    proof = _mac(key, challenge.nonce + claim) + claim
    flags = FLAGS & challenge.flags | _UNICODE | _NTLM
    parts = (lm, proof, _utf16(login.domain), _utf16(login.user), b"", b"")
    fields, payload = b"", b""
    for part in parts:
        fields += struct.pack("<HHI", len(part), len(part), _HEADER + len(payload))
        payload += part
    return SIGNATURE + struct.pack("<I", 3) + fields + struct.pack("<I", flags) + payload


def _key(login: Login) -> bytes:
    """NTOWFv2 (3.3.2)."""
    return _mac(md4(_utf16(login.password)), _utf16(login.user.upper() + login.domain))


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, md5).digest()


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-le")
