"""CRC-32C (Castagnoli; RFC 3720, appendix B.4): the checksum of PROXY headers. zlib's is another one."""

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78
_MASK: Final = 0xFFFFFFFF


def _entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
    return value


_TABLE: Final = tuple(_entry(value) for value in range(256))


def crc32c(data: bytes) -> int:
    """The checksum of some hundred bytes: this is Python, a byte at a time."""
    value = _MASK
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ _MASK
