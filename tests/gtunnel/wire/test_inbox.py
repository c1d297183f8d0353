import pytest

from gtunnel.wire.errors import MessageError
from gtunnel.wire.inbox import Inbox
from gtunnel.wire.steps import Receive, ReceiveLine, Side

LINE = ReceiveLine(Side.CLIENT, limit=8)


def test_lines_end_with_lf_or_crlf() -> None:
    inbox = Inbox()
    inbox.feed(b"one\r\ntwo\n\nx")
    assert [inbox.take(LINE) for _ in range(4)] == [b"one", b"two", b"", None]
    inbox.feed(memoryview(b"y\n"))
    assert inbox.take(LINE) == b"xy"


def test_a_message_has_its_length() -> None:
    inbox = Inbox()
    inbox.feed(b"abcd")
    assert inbox.take(Receive(Side.CLIENT, 3)) == b"abc"
    assert inbox.take(Receive(Side.CLIENT, 2)) is None
    assert inbox.take_rest() == b"d"
    assert len(inbox) == 0


def test_a_line_has_a_limit() -> None:
    inbox = Inbox()
    inbox.feed(b"1234567")
    assert inbox.take(LINE) is None
    inbox.feed(b"8")
    with pytest.raises(MessageError, match="the client's message: Line too long: more than 8 bytes"):
        inbox.take(LINE)


def test_the_end_counts_towards_the_limit() -> None:
    inbox = Inbox()
    inbox.feed(b"1234567\n")
    assert inbox.take(LINE) == b"1234567"
