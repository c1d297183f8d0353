"""LDAP's StartTLS on bytes."""

import random

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import ldap
from gtunnel.wire.errors import ProtocolError
from gtunnel.wire.ldap import ENUMERATED, EXTENDED_RESPONSE, INTEGER, OCTETS, SEQUENCE, tlv
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play

REQUEST = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"


def response(code: int = 0, text: bytes = b"", number: int = 1, more: bytes = b"") -> bytes:
    result = tlv(ENUMERATED, bytes([code])) + tlv(OCTETS, b"") + tlv(OCTETS, text) + more
    return tlv(SEQUENCE, tlv(INTEGER, bytes([number])) + tlv(EXTENDED_RESPONSE, result))


def dial(target: bytes, *, chunk: int = 0) -> Played:
    return play(ldap.client(ProtocolSettings(), Scene()), b"", target, tls_side=Side.TARGET, chunk=chunk)


SHORT = response()


@pytest.mark.parametrize(
    "answer",
    [
        SHORT,
        response(more=tlv(0x8A, ldap.START_TLS)),
        response(text=b"x" * 300),
        # As OpenLDAP and Active Directory write lengths.
        b"\x30\x84\0\0\0" + SHORT[1:],
        SHORT + b"more",
    ],
)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls(answer: bytes, chunk: int) -> None:
    played = dial(answer, chunk=chunk)
    assert played.error is None
    assert played.kinds == [Connect, Send, StartTls]
    assert played.said == {Side.CLIENT: b"", Side.TARGET: REQUEST}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (response(2, b"n\no"), "the server refused StartTLS (result code 2, protocol error: it has no TLS): 'n\\no'"),
        (response(10, more=tlv(0xA3, tlv(4, b"ldap://b"))), "the server refused StartTLS (result code 10, referral)"),
        (response(99), "the server refused StartTLS (result code 99)"),
        (response(52, number=0), "the server ends the connection (result code 52, unavailable: its TLS is not set up)"),
        (response(number=2), "the server's answer to StartTLS makes no sense: it is for message 2"),
        (b"HTTP/1.1", "the server's answer to StartTLS makes no sense: it begins with 48"),
        (b"\x30\x00", "the server's answer to StartTLS makes no sense: a length of 0"),
        (b"\x30\x80", "the server's answer to StartTLS makes no sense: a length of 0 bytes"),
        (b"\x30\x84\x7f\xff\xff\xff", "the server's answer to StartTLS makes no sense: a length of 2147483647"),
        (b"\x30\x89", "the server's answer to StartTLS makes no sense: a length of 9 bytes"),
        (b"\x30\x03\x02\x01\x01", "the server's answer to StartTLS makes no sense: nothing is where 78 should be"),
        (b"\x30\x03\x02\x05\x01", "the server's answer to StartTLS makes no sense: it is cut short"),
    ],
)
def test_a_server_without_tls_is_no_server_and_the_client_is_told(answer: bytes, reason: str) -> None:
    played = dial(answer)
    assert str(played.error) == f"ldap: {reason}"
    assert played.said[Side.CLIENT] == ldap.disconnection()
    assert StartTls not in played.kinds


def test_any_bytes_are_an_answer_or_the_one_error() -> None:
    rng = random.Random(4)
    whole = response(more=tlv(0x8A, ldap.START_TLS))
    for _ in range(20000):
        changed = bytearray(whole[2:])
        for _ in range(rng.randint(1, 4)):
            changed[rng.randrange(len(changed))] = rng.choice((0, 1, 2, 0x7F, 0x80, 0x84, 0xFF, rng.randrange(256)))
        content = bytes(changed)[: rng.randint(0, len(changed) + 5)]
        try:
            ldap.judge(content)
        except ProtocolError:
            continue
