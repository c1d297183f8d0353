"""Passwords as `openssl passwd -6` and `mkpasswd` write them: `$6$[rounds=N$]SALT$HASH` (crypt(5), sha512crypt).

Python's own crypt module is gone from 3.13 on. Written from the specification "Unix crypt using SHA-256 and SHA-512"
(U. Drepper, public domain).
"""

import hmac
import re
from hashlib import sha512
from typing import Final

DEFAULT_ROUNDS: Final = 5000
MIN_ROUNDS: Final = 1000
# The specification allows more; whoever writes the file could stop a worker's threads for minutes.
MAX_ROUNDS: Final = 1_000_000
MAX_SALT: Final = 16
# A password is hashed several times per round, so its length costs.
MAX_PASSWORD: Final = 255

_FORM: Final = re.compile(rb"\$6\$(?:rounds=([0-9]{1,9})\$)?([./0-9A-Za-z]{1,16})\$([./0-9A-Za-z]{86})")
_DIGITS: Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def is_hash(text: bytes) -> bool:
    """Whether a text is such a hash, as we can check it."""
    form = _FORM.fullmatch(text)
    return form is not None and (form[1] is None or MIN_ROUNDS <= int(form[1]) <= MAX_ROUNDS)


def verify(password: bytes, stored: bytes) -> bool:
    """Whether a password is the one of a hash. Takes milliseconds; call it in a thread."""
    form = _FORM.fullmatch(stored)
    if form is None or len(password) > MAX_PASSWORD:
        return False
    rounds = DEFAULT_ROUNDS if form[1] is None else int(form[1])
    return hmac.compare_digest(_hash(password, form[2], rounds), form[3])


def _hash(password: bytes, salt: bytes, rounds: int) -> bytes:
    inner = sha512(password + salt + password).digest()
    seed = sha512(password + salt + _stretched(inner, len(password)))
    bits = len(password)
    while bits:
        seed.update(inner if bits & 1 else password)
        bits >>= 1
    digest = seed.digest()
    secret = _stretched(sha512(password * len(password)).digest(), len(password))
    spice = _stretched(sha512(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(rounds):
        step = sha512(secret if number & 1 else digest)
        if number % 3:
            step.update(spice)
        if number % 7:
            step.update(secret)
        step.update(digest if number & 1 else secret)
        digest = step.digest()
    return _encode(digest)


def _stretched(digest: bytes, size: int) -> bytes:
    return (digest * (size // len(digest) + 1))[:size]


def _encode(digest: bytes) -> bytes:
    """Three bytes at a time, in the specification's order: (0, 21, 42), (22, 43, 1), (44, 2, 23), …, and 63 alone."""
    text = bytearray()
    indexes = (0, 21, 42)
    for _ in range(21):
        high, middle, low = (digest[index] for index in indexes)
        text += _digits(high << 16 | middle << 8 | low, 4)
        indexes = (indexes[1] + 1, indexes[2] + 1, indexes[0] + 1)
    return bytes(text + _digits(digest[63], 2))


def _digits(value: int, count: int) -> bytes:
    return bytes(_DIGITS[value >> 6 * place & 63] for place in range(count))
