"""Headers there and back, and those that are none."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import SocketAddress
from gtunnel.errors import GtunnelError
from gtunnel.wire import proxyheader
from gtunnel.wire.crc32c import crc32c
from gtunnel.wire.inbox import Inbox
from gtunnel.wire.proxyheader import SIGNATURE, Ends
from gtunnel.wire.steps import Receive, ReceiveLine, TlsFacts

V4 = Ends(SocketAddress("192.0.2.1", 1024), SocketAddress("198.51.100.1", 443))
V6 = Ends(SocketAddress("2001:db8::1", 1024), SocketAddress("2001:db8::2", 443))
FACTS = TlsFacts(
    version="TLSv1.3",
    cipher="TLS_AES_128_GCM_SHA256",
    server_name="www.example.org",
    certificate=True,
    verified=True,
    resumed=False,
    common_name="me",
    signature="RSA-SHA256",
    key="RSA2048",
)


class MissingError(Exception):
    pass


def read(header: bytes, chunk: int = 0) -> tuple[Ends | None, bytes]:
    """What was read, and what is left."""
    inbox, reading = Inbox(), proxyheader.read()
    waiting = [header[start : start + (chunk or 1 << 20)] for start in range(0, len(header), chunk or 1 << 20)]
    step = next(reading)
    try:
        while True:
            assert isinstance(step, Receive | ReceiveLine)
            while (answer := inbox.take(step)) is None:
                if not waiting:
                    raise MissingError
                inbox.feed(waiting.pop(0))
            step = reading.send(answer)
    except StopIteration as end:
        return end.value, inbox.take_rest() + b"".join(waiting)


@pytest.mark.parametrize("ends", [V4, V6, None])
@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_what_is_written_is_read(ends: Ends | None, chunk: int) -> None:
    for header in (
        proxyheader.version1(ends),
        proxyheader.version2(ends, None),
        proxyheader.version2(ends, FACTS),
    ):
        assert read(header + b"\x16\x03", chunk) == (ends, b"\x16\x03")


def test_version_2_tells_of_tls() -> None:
    header = proxyheader.version2(V4, FACTS)
    assert b"\x02\x00\x0fwww.example.org" in header
    assert b"\x20" + struct.pack("!HBI", 5 + 10 + 5 + 25 + 13 + 10, 7, 0) in header
    assert b"\x21\x00\x07TLSv1.3\x22\x00\x02me\x23\x00\x16TLS_AES_128_GCM_SHA256" in header
    assert header.endswith(b"\x03\x00\x04" + header[-4:])
    zeroed = header[:-4] + bytes(4)
    assert crc32c(zeroed) == int.from_bytes(header[-4:], "big")


@pytest.mark.parametrize(
    "line",
    [
        *(b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", SIGNATURE + b"\x20\x00\x00\x00"),
        *(SIGNATURE + b"\x20\x11\x00\x0c" + bytes(12), SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216)),
    ],
)
def test_a_header_may_name_nobody(line: bytes) -> None:
    assert read(line + b"rest") == (None, b"rest")


def test_ipv4_in_ipv6_is_ipv4() -> None:
    ends, _ = read(b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n")
    assert ends == Ends(SocketAddress("192.0.2.1", 1), SocketAddress("192.0.2.2", 2))


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"\x16\x03\x01" + bytes(20), "there is none"),
        (b"GET / HTTP/1.0\r\n\r\n", "there is none"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "is not understood"),
        (b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n", "is not understood"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n", "is not understood"),
        (b"PROXY TCP4 192.0.2.1 ::1 1 2\r\n", "its addresses are none"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.x 1 2\r\n", "its addresses are none"),
        (b"PROXY TCP6 fe80::1%lo fe80::2%lo 1 2\r\n", "its addresses are none"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "its addresses are none"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n", "its addresses are none"),
        (b"PROXY TCP4 " + b"1" * 200 + b"\r\n", "Line too long"),
        (SIGNATURE + b"\x11\x11\x00\x00", "0x11 is not known"),
        (SIGNATURE + b"\x2f\x11\x00\x00", "0x2f is not known"),
        (SIGNATURE + b"\x21\x11\xff\xff", "longer than 4096"),
        (SIGNATURE + b"\x21\x11\x00\x04" + bytes(4), "too short for its addresses"),
        (SIGNATURE + b"\x21\x11\x00\x0e" + bytes(14), "cut short"),
        (SIGNATURE + b"\x21\x11\x00\x10" + bytes(12) + b"\x01\x00\x05x", "cut short"),
        (proxyheader.version2(V4, FACTS)[:-1] + b"x", "its checksum is wrong"),
        (proxyheader.version2(V4, None)[:20] + b"x" + proxyheader.version2(V4, None)[21:], "its checksum is wrong"),
    ],
)
@pytest.mark.parametrize("chunk", [0, 1, 3])
def test_what_is_no_header_is_refused(header: bytes, text: str, chunk: int) -> None:
    with pytest.raises(GtunnelError, match=text):
        read(header, chunk)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_header_or_one_error(said: bytes) -> None:
    for start in (b"", b"PROXY ", b"PROXY TCP4 1.1.1.1 ", SIGNATURE, SIGNATURE + b"\x21\x11"):
        try:
            read(start + said)
        except (GtunnelError, MissingError):
            continue


def test_a_name_that_is_none_is_left_out() -> None:
    long = proxyheader.version2(V4, replace(FACTS, common_name="x" * 70000))
    assert long == proxyheader.version2(V4, replace(FACTS, common_name=""))
