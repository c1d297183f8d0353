"""Where 4 and 4a differ from 5; the rest is in test_socks."""

import pytest

from gtunnel.address import HostPort, SocketAddress
from gtunnel.wire import socks4
from gtunnel.wire.inbox import Inbox
from gtunnel.wire.sockswords import Command, Request, UnsupportedError
from gtunnel.wire.steps import Receive, ReceiveLine


def read(said: bytes) -> Request:
    inbox = Inbox()
    inbox.feed(said)
    reading = socks4.DIALECT.read_request()
    step = next(reading)
    try:
        while True:
            assert isinstance(step, Receive | ReceiveLine)
            answer = inbox.take(step)
            assert answer is not None
            step = reading.send(answer)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def test_an_address_whose_last_byte_alone_is_set_announces_a_name() -> None:
    assert read(b"\x01\x00\x50\x00\x00\x00\x09\0name\0") == Request(Command.CONNECT, HostPort("name", 80))
    assert read(b"\x01\x00\x50\x00\x00\x00\x00\0") == Request(Command.CONNECT, HostPort("0.0.0.0", 80))
    assert read(b"\x02\x00\x50\x00\x01\x00\x09user\0") == Request(Command.BIND, HostPort("0.1.0.9", 80))


def test_a_line_end_in_a_user_id_is_no_end() -> None:
    assert read(b"\x01\x00\x50\x01\x02\x03\x04u\r\n\0") == Request(Command.CONNECT, HostPort("1.2.3.4", 80))


def test_there_is_no_other_command_than_two() -> None:
    with pytest.raises(UnsupportedError, match="Unsupported SOCKS command 0x03"):
        read(b"\x03\x00\x50\x01\x02\x03\x04\0")


def test_an_ipv6_address_does_not_fit_an_answer() -> None:
    assert socks4.DIALECT.success(SocketAddress("2001:db8::1", 80)) == b"\x00\x5a\x00\x50" + bytes(4)
    assert socks4.DIALECT.success(None) == b"\x00\x5a" + bytes(6)
