"""MD4 (RFC 1320): NTLM derives its keys with it, and OpenSSL has put it away. For nothing else."""

import struct
from collections.abc import Callable, Iterator
from typing import Final

_MASK: Final = 0xFFFFFFFF
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_BLOCK: Final = 64
_Mix = Callable[[int, int, int], int]


def _select(x: int, y: int, z: int) -> int:
    return (x & y) | (~x & z)


def _majority(x: int, y: int, z: int) -> int:
    return (x & y) | (x & z) | (y & z)


def _parity(x: int, y: int, z: int) -> int:
    return x ^ y ^ z


# Each round: how words are mixed, what is added, in which order the block's words come, and by how much is rotated.
_ROUNDS: Final[tuple[tuple[_Mix, int, tuple[int, ...], tuple[int, ...]], ...]] = (
    (_select, 0, tuple(range(16)), (3, 7, 11, 19)),
    (_majority, 0x5A827999, (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), (3, 5, 9, 13)),
    (_parity, 0x6ED9EBA1, (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15), (3, 9, 11, 15)),
)


def md4(data: bytes) -> bytes:
    """The digest, 16 bytes."""
    state = _START
    for words in _blocks(data):
        mixed = _mix(state, words)
        state = tuple((old + new) & _MASK for old, new in zip(state, mixed, strict=True))  # type: ignore[assignment]
    return struct.pack("<4I", *state)


def _blocks(data: bytes) -> Iterator[tuple[int, ...]]:
    padding = b"\x80" + bytes((_BLOCK - 9 - len(data)) % _BLOCK)
    padded = data + padding + struct.pack("<Q", len(data) * 8)
    yield from struct.iter_unpack("<16I", padded)


def _mix(state: tuple[int, int, int, int], words: tuple[int, ...]) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for mix, constant, order, shifts in _ROUNDS:
        for step, index in enumerate(order):
            total = (a + mix(b, c, d) + words[index] + constant) & _MASK
            shift = shifts[step % 4]
            a, b, c, d = d, (total << shift | total >> (32 - shift)) & _MASK, b, c
    return a, b, c, d
