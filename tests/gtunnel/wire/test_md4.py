import pytest

from gtunnel.wire.md4 import md4


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        (b"", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        (b"a", "bde52cb31de33e46245e05fbdbd6fb24"),
        (b"abc", "a448017aaf21d8525fc10ae87aa6729d"),
        (b"message digest", "d9130a8164549fe818874806e1c7014b"),
        (b"abcdefghijklmnopqrstuvwxyz", "d79e1c308aa5bbcdeea8ed63df412da9"),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "043f8582f241db351ce627e153e7f0e4"),
        (b"1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_the_vectors_of_rfc_1320(text: bytes, digest: str) -> None:
    assert md4(text).hex() == digest


@pytest.mark.parametrize("size", [54, 55, 56, 63, 64, 65, 119, 120])
def test_lengths_around_a_block_end(size: int) -> None:
    assert len(md4(b"x" * size)) == 16
    assert md4(b"x" * size) != md4(b"x" * (size + 1))
