"""A ClientHello is read whole, byte by byte, in pieces, and with anything behind it; other bytes are told."""

import contextlib
import ssl
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.tls.hello import MAX_HELLO, MAX_RECEIVED, TLS1_2, TLS1_3, ClientHello, HelloReader, NotAHelloError, parse


def hello_of(name: str | None = "www.example.org", *, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """What Python's own TLS sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = newest
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def read(data: bytes, step: int | None = None) -> ClientHello:
    reader = HelloReader()
    for start in range(0, len(data), step or len(data)):
        if reader.feed(data[start : start + (step or len(data))]):
            break
    hello = reader.hello()
    assert hello is not None
    return hello


def records(message: bytes, size: int) -> bytes:
    """A handshake message in records of `size` bytes."""
    parts = (message[start : start + size] for start in range(0, len(message), size))
    return b"".join(struct.pack("!BHH", 22, 0x0301, len(part)) + part for part in parts)


def test_what_a_client_offers_is_read() -> None:
    hello = read(hello_of())
    assert hello.server_name == "www.example.org"
    assert hello.newest == TLS1_3
    assert 0x1301 in hello.ciphers
    assert hello.groups
    assert hello.signatures
    assert hello.ticket == b""
    assert hello.identities == ()


def test_an_older_client_names_its_version_in_the_header() -> None:
    hello = read(hello_of(None, newest=ssl.TLSVersion.TLSv1_2))
    assert (hello.server_name, hello.newest, hello.session_id) == (None, TLS1_2, b"")


def test_a_name_that_is_too_long_is_none() -> None:
    found = []
    for size in (255, 256):
        name = b"\0" + size.to_bytes(2) + b"x" * size
        body = bytes([3, 3]) + bytes(33) + b"\0\2\x13\1\1\0"
        extension = bytes(2) + (len(name) + 2).to_bytes(2) + len(name).to_bytes(2) + name
        message = body + len(extension).to_bytes(2) + extension
        reader = HelloReader()
        reader.feed(records(b"\1" + len(message).to_bytes(3) + message, 4000))
        hello = reader.hello()
        found.append(None if hello is None else hello.server_name)
    assert found == ["x" * 255, None]


@pytest.mark.parametrize("step", [1, 2, 7, 100])
def test_bytes_may_come_in_any_pieces(step: int) -> None:
    assert read(hello_of(), step).server_name == "www.example.org"


@pytest.mark.parametrize("size", [1, 3, 50, 4000])
def test_a_message_may_be_in_several_records(size: int) -> None:
    assert read(records(hello_of()[5:], size)).server_name == "www.example.org"


def test_what_comes_behind_it_is_kept_for_openssl() -> None:
    data = hello_of() + b"more"
    reader = HelloReader()
    assert reader.feed(data)
    assert reader.received == data
    assert reader.hello() is not None


@pytest.mark.parametrize(
    "data",
    [
        *(b"GET / HTTP/1.0\r\n\r\n", b"S", b"\x00", b"\x80\x2e\x01\x00\x02", b"\x16\x02\x00\x00\x05"),
        b"\x17\x03\x03\x00\x05",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x00\x01\x02",
        b"\x16\x03\x01\x48\x01",
        b"\x16\x03\x01\x00\x04\x01" + (MAX_HELLO + 1).to_bytes(3),
    ],
)
def test_what_is_no_hello_is_told_at_once(data: bytes) -> None:
    reader = HelloReader()
    with pytest.raises(NotAHelloError):
        reader.feed(data)
    assert reader.received == data


def test_a_hello_that_is_not_whole_is_none() -> None:
    reader = HelloReader()
    assert not reader.feed(hello_of()[:-1])
    assert reader.hello() is None


def test_a_whole_message_that_is_nonsense_is_none() -> None:
    reader = HelloReader()
    assert reader.feed(records(b"\x01\x00\x00\x03abc", 100))
    assert reader.hello() is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_hello_or_not(data: bytes) -> None:
    with contextlib.suppress(NotAHelloError):
        assert parse(data)
    reader = HelloReader()
    try:
        reader.feed(data)
    except NotAHelloError:
        return
    reader.hello()


@given(st.integers(0, 2000), st.integers(0, 255))
def test_a_damaged_hello_is_a_hello_or_not(place: int, byte: int) -> None:
    data = bytearray(hello_of())
    data[place % len(data)] = byte
    reader = HelloReader()
    try:
        reader.feed(bytes(data))
    except NotAHelloError:
        return
    reader.hello()


def test_a_message_in_tiny_records_is_not_collected_for_ever() -> None:
    reader = HelloReader()
    record = struct.pack("!BHHB", 22, 0x0301, 1, 1)
    with pytest.raises(NotAHelloError):
        reader.feed(record + struct.pack("!BHHB", 22, 0x0301, 1, 0) * MAX_RECEIVED)
    assert reader.hello() is None
