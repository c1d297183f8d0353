import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import HostPort, SocketAddress
from gtunnel.wire.socksdatagram import Datagram, pack, unpack


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (b"\0\0\0\x01\xc0\x00\x02\x01\x00\x35hello", "192.0.2.1"),
        (b"\0\0\0\x04" + bytes(15) + b"\x01\x00\x35hello", "::1"),
        (b"\0\0\0\x03\x04name\x00\x35hello", "name"),
    ],
)
def test_a_datagram_says_whom_it_is_for(data: bytes, host: str) -> None:
    assert unpack(data) == Datagram(HostPort(host, 53), b"hello")
    assert all(unpack(data[:size]) is None for size in range(len(data) - 5))


@pytest.mark.parametrize(
    "data",
    [
        *(
            b"\0\0\x01\x01\xc0\x00\x02\x01\x00\x35fragment",
            b"\x01\0\0\x01\xc0\x00\x02\x01\x00\x35x",
            b"\0\0\0\x02" + bytes(9),
        ),
        *(b"\0\0\0\x03\x00\x00\x35hello", b"\0\0\0\x03\x02a\0\x00\x35hello"),
    ],
)
def test_others_and_fragments_are_none(data: bytes) -> None:
    assert unpack(data) is None


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_an_answer_says_whom_it_is_from(host: str) -> None:
    assert unpack(pack(SocketAddress(host, 53), b"x")) == Datagram(HostPort(host, 53), b"x")


@given(st.binary(max_size=300))
def test_any_bytes_are_one_or_none(data: bytes) -> None:
    found = unpack(b"\0\0\0" + data)
    assert found is None or len(found.payload) < len(data)
