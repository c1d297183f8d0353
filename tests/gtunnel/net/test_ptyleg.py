"""A terminal as a leg: its two odd ends."""

import os
import tty
from collections.abc import Iterator

import pytest

from gtunnel.net.ptyleg import PtyLeg
from gtunnel.net.waiting import Wakeup

Line = tuple[PtyLeg, int, Wakeup]


@pytest.fixture
def line() -> Iterator[Line]:
    master, slave = os.openpty()
    os.set_blocking(master, False)
    wakeup = Wakeup()
    leg = PtyLeg(master, wakeup)
    yield leg, slave, wakeup
    leg.close(reset=False)
    wakeup.close()


def received(leg: PtyLeg, wakeup: Wakeup) -> bytes:
    buffer = memoryview(bytearray(100))
    leg.want(receive=True, send=False)
    while (count := leg.receive(buffer)) is None:
        assert wakeup.wait(10)
    return bytes(buffer[:count])


def test_bytes_go_both_ways(line: Line) -> None:
    leg, slave, wakeup = line
    tty.setraw(slave)
    assert leg.send(memoryview(b"in")) == 2
    assert os.read(slave, 10) == b"in"
    os.write(slave, b"out")
    assert received(leg, wakeup) == b"out"
    os.close(slave)


def test_a_program_that_lets_go_of_its_terminal_has_ended(line: Line) -> None:
    leg, slave, wakeup = line
    tty.setraw(slave)
    os.write(slave, b"last words")
    os.close(slave)
    assert received(leg, wakeup) == b"last words"
    assert received(leg, wakeup) == b""


def test_the_end_is_typed_where_lines_are_read(line: Line) -> None:
    leg, slave, _ = line
    leg.send(memoryview(b"half"))
    leg.finish()
    assert os.read(slave, 10) == b"half"
    assert os.read(slave, 10) == b""
    os.close(slave)


def test_raw_bytes_have_no_end(line: Line) -> None:
    leg, slave, _ = line
    tty.setraw(slave)
    os.set_blocking(slave, False)
    leg.finish()
    with pytest.raises(BlockingIOError):
        os.read(slave, 10)
    os.close(slave)


def test_a_full_terminal_takes_less_and_is_blocked(line: Line) -> None:
    leg, slave, _ = line
    tty.setraw(slave)
    assert leg.send(memoryview(bytes(1 << 20))) < 1 << 20
    assert leg.blocked
    assert leg.flush()
    os.close(slave)
