"""With the example of [MS-NLMP], section 4.2.4: NTLMv2."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.wire import ntlm
from gtunnel.wire.errors import ProtocolError

SERVER = bytes.fromhex("0123456789abcdef")
CLIENT = b"\xaa" * 8
INFO = (
    bytes.fromhex("02000c00")
    + "Domain".encode("utf-16-le")
    + bytes.fromhex("01000c00")
    + "Server".encode("utf-16-le")
    + bytes(4)
)
# At the beginning of 1601: the example's clock is 0.
LOGIN = ntlm.Login(user="User", domain="Domain", password="Password", nonce=CLIENT, seconds=-11644473600)  # noqa: S106
FLAGS = ntlm.FLAGS | 0x800000


def challenge(info: bytes = INFO, flags: int = FLAGS) -> bytes:
    head = ntlm.SIGNATURE + struct.pack("<IHHII", 2, 0, 0, 48, flags) + SERVER + bytes(8)
    return head + struct.pack("<HHI", len(info), len(info), 48) + info


def field(message: bytes, number: int) -> bytes:
    size, _, offset = struct.unpack_from("<HHI", message, 12 + 8 * number)
    return message[offset : offset + size]


def test_the_proof_is_the_examples() -> None:
    message = ntlm.authenticate(ntlm.read_challenge(challenge()), LOGIN)
    assert field(message, 0).hex() == "86c35097ac9cec102554764a57cccc19" + "aa" * 8
    assert field(message, 1)[:16].hex() == "68cd0ab851e51c96aabc927bebef6a1c"
    assert field(message, 2).decode("utf-16-le") == "Domain"
    assert field(message, 3).decode("utf-16-le") == "User"


def test_a_servers_clock_is_taken_and_nothing_old_is_computed() -> None:
    info = INFO[:-4] + struct.pack("<HH", 7, 8) + b"\x01" * 8 + bytes(4)
    message = ntlm.authenticate(ntlm.read_challenge(challenge(info)), LOGIN)
    assert field(message, 0) == bytes(24)
    assert field(message, 1)[24:32] == b"\x01" * 8


def test_a_server_need_not_say_what_it_is() -> None:
    assert ntlm.read_challenge(challenge(flags=ntlm.FLAGS)[:32]).info == b""


def test_the_first_message_asks_for_ntlm_in_unicode() -> None:
    assert ntlm.negotiate() == b"NTLMSSP\0" + struct.pack("<II", 1, 0x88207) + bytes(16)


@pytest.mark.parametrize("message", [b"", b"NTLMSSP\0", challenge()[:31], b"X" + challenge()[1:], challenge()[:-1]])
def test_what_is_no_challenge_is_refused(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        ntlm.read_challenge(message)


@given(st.binary(max_size=100), st.binary(max_size=60))
def test_any_challenge_is_answered_or_refused(tail: bytes, info: bytes) -> None:
    for message in (ntlm.SIGNATURE + b"\x02\0\0\0" + tail, challenge(info)):
        try:
            ntlm.authenticate(ntlm.read_challenge(message), LOGIN)
        except ProtocolError:
            continue
