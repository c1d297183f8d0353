"""Against the specification's own vectors, and against what openssl(1) writes."""

import subprocess

import pytest

from gtunnel.wire import sha512crypt
from tests.support import needs

# The specification's.
PASSWORD = b"Hello world!"
STORED = (
    b"$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
)


@pytest.mark.parametrize("password", ["a", "hunter2", "ü" * 40, "x" * 64, "x" * 65, "y" * 128, "z" * 200])
def test_what_openssl_writes_is_verified(password: str) -> None:
    argv = [needs.program("openssl"), "passwd", "-6", "-salt", "abcdefgh", "-stdin"]
    written = subprocess.run(argv, input=password.encode() + b"\n", capture_output=True, check=True).stdout.strip()
    assert sha512crypt.is_hash(written)
    assert sha512crypt.verify(password.encode(), written)
    assert not sha512crypt.verify(password.encode() + b"x", written)


def test_rounds_may_be_said() -> None:
    assert sha512crypt.verify(PASSWORD, STORED)


@pytest.mark.parametrize(
    "text", [b"", b"$6$", b"$5$salt$" + b"x" * 86, b"$6$salt$short", b"$6$rounds=999999999$salt$" + b"x" * 86]
)
def test_other_texts_are_no_hashes(text: bytes) -> None:
    assert not sha512crypt.is_hash(text)
    assert not sha512crypt.verify(b"x", b"$6$" + text)


def test_passwords_have_a_limit() -> None:
    assert not sha512crypt.verify(b"x" * 256, STORED)
