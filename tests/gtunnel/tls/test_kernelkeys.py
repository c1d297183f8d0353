"""Keys of TLS 1.3 as the kernel takes them. The vectors are those of RFC 8448, section 3."""

import struct

import pytest

from gtunnel.tls.kernelkeys import CIPHERS, DATA, HANDSHAKE, DirectionKey, Secrets

AES_128 = CIPHERS["TLS_AES_128_GCM_SHA256"]
CLIENT_SECRET = bytes.fromhex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")
CLIENT_KEY = bytes.fromhex("17422dda596ed5d9acd890e3c63f5051")
CLIENT_NONCE = bytes.fromhex("5b78923dee08579033e523d9")
SERVER_SECRET = bytes.fromhex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")
SERVER_KEY = bytes.fromhex("9f02283b6c9c07efc26bb9f2ac92e356")
SERVER_NONCE = bytes.fromhex("cf782b88dd83549aadf1e984")
# The client's alert, its record number 1 under these keys.
CLIENT_ALERT = bytes.fromhex("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3")


@pytest.mark.parametrize(
    ("secret", "key", "nonce"),
    [(CLIENT_SECRET, CLIENT_KEY, CLIENT_NONCE), (SERVER_SECRET, SERVER_KEY, SERVER_NONCE)],
)
def test_keys_follow_from_the_secret_as_in_the_rfc(secret: bytes, key: bytes, nonce: bytes) -> None:
    made = DirectionKey.of(AES_128, secret)
    assert (made.key, made.nonce) == (key, nonce)


def test_the_record_of_the_rfc_opens_with_its_number_and_no_other() -> None:
    key = DirectionKey.of(AES_128, CLIENT_SECRET)
    assert key.open(CLIENT_ALERT, 1) == (21, b"\x01\x00")
    assert key.open(CLIENT_ALERT, 0) is None
    assert key.open(CLIENT_ALERT, 2) is None
    assert DirectionKey.of(AES_128, SERVER_SECRET).open(CLIENT_ALERT, 1) is None
    assert key.open(CLIENT_ALERT[:10], 1) is None


def seal(key: DirectionKey, inner: bytes, sequence: int) -> bytes:
    header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2)
    nonce = (int.from_bytes(key.nonce) ^ sequence).to_bytes(12)
    return header + key.cipher.aead(key.key).encrypt(nonce, inner, header)


@pytest.mark.parametrize("name", CIPHERS)
def test_what_each_cipher_protects_opens_and_padding_does_not_show(name: str) -> None:
    key = DirectionKey.of(CIPHERS[name], b"s" * CIPHERS[name].algorithm().digest_size)
    assert key.open(seal(key, b"content\0" + bytes([DATA]) + b"\0" * 5, 7), 7) == (DATA, b"content\0")
    assert key.open(seal(key, bytes([HANDSHAKE]), 1 << 40), 1 << 40) == (HANDSHAKE, b"")
    # RFC 8446, section 5.4: all zeros are no record.
    assert key.open(seal(key, b"\0\0", 0), 0) is None


def test_aes_128_is_laid_out_as_the_kernel_has_it() -> None:
    """struct tls12_crypto_info_aes_gcm_128: version, cipher, iv, key, salt, rec_seq."""
    info = DirectionKey.of(AES_128, CLIENT_SECRET).crypto_info(0x0102)
    assert info[:4] == struct.pack("=HH", 0x0304, 51)
    assert info[4:] == CLIENT_NONCE[4:] + CLIENT_KEY + CLIENT_NONCE[:4] + b"\0\0\0\0\0\0\x01\x02"
    assert len(info) == 40


def test_aes_256_is_laid_out_as_the_kernel_has_it() -> None:
    key = DirectionKey.of(CIPHERS["TLS_AES_256_GCM_SHA384"], b"s" * 48)
    info = key.crypto_info(3)
    assert info == struct.pack("=HH", 0x0304, 52) + key.nonce[4:] + key.key + key.nonce[:4] + bytes(7) + b"\x03"
    assert len(info) == 56


def test_chacha_has_no_salt() -> None:
    key = DirectionKey.of(CIPHERS["TLS_CHACHA20_POLY1305_SHA256"], b"s" * 32)
    info = key.crypto_info(3)
    assert info == struct.pack("=HH", 0x0304, 54) + key.nonce + key.key + bytes(7) + b"\x03"
    assert len(info) == 56


def test_secrets_are_taken_from_the_lines_of_a_key_log_and_others_passed_over() -> None:
    secrets = Secrets()
    for line in (
        b"CLIENT_HANDSHAKE_TRAFFIC_SECRET 00 1111",
        b"CLIENT_TRAFFIC_SECRET_0 00aa 0102",
        b"SERVER_TRAFFIC_SECRET_0 00aa 0304",
        b"EXPORTER_SECRET 00aa ffff",
        b"",
    ):
        secrets.take(line)
    assert (secrets.client, secrets.server) == (b"\x01\x02", b"\x03\x04")


def test_nothing_secret_is_shown() -> None:
    key = DirectionKey.of(AES_128, CLIENT_SECRET)
    shown = repr(key) + repr(Secrets())
    for secret in (CLIENT_KEY, CLIENT_NONCE, CLIENT_SECRET):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
    assert "key=" not in shown
