"""Bytes through two connections on memory BIOs, by hand."""

import contextlib
import ctypes

import pytest
from OpenSSL import SSL

from gtunnel.tls.openssl.records import Records
from tests.support.certificates import Pki

OUTPUT_BYTES = 50_000


class Pair:
    """A client and a server that have shaken hands."""

    def __init__(self, pki: Pki) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate_chain_file(str(pki.server.cert))
        context.use_privatekey_file(str(pki.server.key))
        connections = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None), SSL.Connection(context, None)
        connections[0].set_connect_state()
        connections[1].set_accept_state()
        self.client_side, self.server_side = connections
        self.buffer = memoryview(bytearray(OUTPUT_BYTES))
        self.client, self.server = (Records(connection) for connection in connections)
        for _ in range(3):
            for connection in connections:
                with contextlib.suppress(SSL.WantReadError):
                    connection.do_handshake()
                self.carry()
        # The session tickets of TLS 1.3, which come after the handshake, are no data.
        assert self.client.read(memoryview(bytearray(1))) == 0

    def carry(self) -> int:
        """What both have to send, to the other; how many bytes."""
        total = 0
        for source, sink in ((self.client, self.server), (self.server, self.client)):
            while count := source.output(self.buffer):
                sink.feed(self.buffer[:count])
                total += count
            assert not source.has_output()
        return total


@pytest.fixture
def pair(pki: Pki) -> Pair:
    return Pair(pki)


def test_what_is_written_is_read(pair: Pair) -> None:
    assert pair.client.write(memoryview(b"hello")) == 5
    pair.carry()
    buffer = memoryview(bytearray(10))
    assert pair.server.read(buffer[2:]) == 5
    assert bytes(buffer) == b"\0\0hello\0\0\0"


def test_nothing_now_is_a_number(pair: Pair) -> None:
    assert pair.server.read(memoryview(bytearray(10))) == 0
    assert pair.server.output(pair.buffer) == 0


def test_a_read_takes_as_many_records_as_fit(pair: Pair) -> None:
    data = bytes(range(256)) * 400
    rest = memoryview(data)
    while rest:
        # One record at a time: SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets.
        taken = pair.client.write(rest)
        assert taken <= 16384
        rest = rest[taken:]
    assert pair.carry() > OUTPUT_BYTES
    buffer = memoryview(bytearray(1 << 16))
    assert pair.server.read(buffer) == len(buffer)
    received = bytes(buffer)
    assert pair.server.read(buffer) == len(data) - len(buffer)
    assert received + bytes(buffer[: len(data) - len(buffer)]) == data


def test_to_feed_and_to_read_is_one_call(pair: Pair) -> None:
    pair.client.write(memoryview(b"at once"))
    count, into = pair.client.output(pair.buffer), memoryview(bytearray(20))
    assert pair.server.read(into, pair.buffer, count) == 7
    assert bytes(into[:7]) == b"at once"


def test_to_write_and_to_take_the_output_is_one_call(pair: Pair) -> None:
    taken, count = pair.client.seal(memoryview(b"at once"), pair.buffer)
    assert taken == 7
    assert pair.server.read(memoryview(bytearray(20)), pair.buffer, count) == 7


def test_what_comes_before_a_failure_is_read_before_it_is_raised(pair: Pair) -> None:
    for _ in range(2):
        pair.client.write(memoryview(b"good"))
    pair.carry()
    pair.server.feed(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert pair.server.read(pair.buffer) == 8
    assert pair.server.failure is not None
    with pytest.raises(SSL.Error):
        pair.server.read(pair.buffer)
    assert pair.server.failure is None


def test_what_comes_before_the_end_is_read_before_it_is_told(pair: Pair) -> None:
    pair.client.write(memoryview(b"last"))
    pair.client_side.shutdown()
    pair.carry()
    assert pair.server.read(pair.buffer) == 4
    with pytest.raises(SSL.ZeroReturnError):
        pair.server.read(pair.buffer)


def test_a_record_longer_than_the_buffer_is_kept(pair: Pair) -> None:
    pair.client.write(memoryview(b"abcdef"))
    pair.carry()
    buffer = memoryview(bytearray(4))
    assert pair.server.unread()
    assert pair.server.read(buffer) == 4
    assert not pair.server.unread()
    assert pair.server.read(buffer) == 2
    assert bytes(buffer[:2]) == b"ef"


def test_the_end_is_told_by_its_exception(pair: Pair) -> None:
    pair.client_side.shutdown()
    pair.carry()
    with pytest.raises(SSL.ZeroReturnError):
        pair.server.read(memoryview(bytearray(4)))


def test_garbage_is_an_error_with_openssls_reason(pair: Pair) -> None:
    pair.server.feed(b"\x17\x03\x03\x00\x20" + bytes(32))
    with pytest.raises(SSL.Error) as caught:
        pair.server.read(memoryview(bytearray(4)))
    assert caught.value.args[0]
    # The error was taken from OpenSSL's queue: the next call is not blamed for it.
    assert pair.client.read(memoryview(bytearray(4))) == 0


def test_writing_before_the_handshake_waits_for_the_peer() -> None:
    connection = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    connection.set_connect_state()
    records = Records(connection)
    assert records.write(memoryview(b"x")) == 0
    assert records.has_output()


def kept() -> int:
    """Bytes that the C library has handed out (mallinfo2, glibc 2.33)."""
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallinfo2"):
        pytest.skip("the C library does not say what it has handed out")

    class Found(ctypes.Structure):
        _fields_ = tuple((f"field{number}", ctypes.c_size_t) for number in range(10))

    library.mallinfo2.restype = Found
    found = library.mallinfo2()
    return int(found.field7 + found.field4)  # uordblks, and what is mapped by itself: hblkhd


def bulk(pair: Pair) -> None:
    """Much at once, so that both BIOs on the way grow, and nothing is left in them."""
    data = memoryview(bytes(16384 * 6))
    for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
        for start in range(0, len(data), 16384):
            assert one.write(data[start : start + 16384]) == 16384
        pair.carry()
        while other.read(pair.buffer):
            pass


def test_what_bulk_has_made_grow_is_given_back(pair: Pair) -> None:
    bulk(pair)
    grown = kept()
    pair.client.shrink()
    pair.server.shrink()
    # Four BIOs of 96 KiB and more.
    assert grown - kept() > 300_000


def test_after_it_has_shrunk_everything_goes_on(pair: Pair) -> None:
    for text in (b"one", b"two", b"three"):
        for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
            one.shrink()
            other.shrink()
            assert not one.has_output()
            one.write(memoryview(text))
            assert one.has_output()
            pair.carry()
            assert other.unread()
            count = other.read(pair.buffer)
            assert bytes(pair.buffer[:count]) == text
            assert not other.unread()
    bulk(pair)


def test_what_is_still_to_be_read_or_sent_does_not_shrink_away(pair: Pair) -> None:
    pair.client.write(memoryview(b"kept"))
    pair.client.shrink()
    assert pair.client.has_output()
    pair.carry()
    pair.server.shrink()
    assert pair.server.read(pair.buffer) == 4


def test_the_beginning_of_a_record_does_not_shrink_away(pair: Pair) -> None:
    pair.client.write(memoryview(b"whole"))
    count = pair.client.output(pair.buffer)
    record = bytes(pair.buffer[:count])
    pair.server.feed(record[:9])
    assert pair.server.read(pair.buffer) == 0
    pair.server.shrink()
    pair.server.feed(record[9:])
    assert pair.server.read(pair.buffer) == 5


def test_shrinking_leaks_nothing(pair: Pair) -> None:
    pair.client.shrink()
    before = kept()
    for _ in range(1000):
        pair.client.shrink()
    assert kept() - before < 10_000
