"""A flow through a pipe, between real sockets: what `Flow` does, and what becomes of pipes."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gtunnel.conf.settings import Timeouts
from gtunnel.net.errors import SocketError
from gtunnel.net.legs import SCRATCH_BYTES, PlainLeg, Scratch
from gtunnel.net.waiting import Wakeup
from gtunnel.tunnel.relay import Relay
from gtunnel.tunnel.splicing import MAX_PIPES, Pipes, SplicedFlow
from tests.support.ports import connection

TIMEOUTS = Timeouts(busy=10, close=10, connect=10, idle=10)
SCRATCH = memoryview(bytearray(SCRATCH_BYTES))


@dataclass
class Line:
    """Two connections, their near ends joined by spliced flows, and their far ends."""

    one: PlainLeg
    other: PlainLeg
    left: socket.socket
    right: socket.socket
    wakeup: Wakeup
    pipes: Pipes

    def relay(self) -> Relay:
        relay = Relay(self.one, self.other)
        relay.forth = SplicedFlow(self.one, self.other, self.pipes)
        relay.back = SplicedFlow(self.other, self.one, self.pipes)
        return relay


@pytest.fixture
def line() -> Iterator[Line]:
    wakeup = Wakeup()
    (near_one, left), (near_other, right) = connection(), connection()
    with left, right:
        made = Line(PlainLeg(near_one, wakeup), PlainLeg(near_other, wakeup), left, right, wakeup, Pipes())
        yield made
        for leg in (made.one, made.other):
            leg.close(reset=False)
    wakeup.close()


def receive_all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(1 << 16), b""))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_much_arrives_both_ways_and_each_end_is_passed_on(line: Line) -> None:
    sent = {line.left: os.urandom(3_000_000), line.right: os.urandom(2_000_000)}
    got: dict[socket.socket, bytes] = {}

    def talk(sock: socket.socket) -> None:
        sock.sendall(sent[sock])
        sock.shutdown(socket.SHUT_WR)

    threads = [threading.Thread(target=talk, args=(sock,)) for sock in sent]
    threads += [threading.Thread(target=lambda sock=sock: got.update({sock: receive_all(sock)})) for sock in sent]
    for thread in threads:
        thread.start()
    relay = line.relay()
    assert relay.run(Scratch(), line.wakeup, TIMEOUTS)
    for thread in threads:
        thread.join()
    assert got == {line.right: sent[line.left], line.left: sent[line.right]}
    assert (relay.forth.count, relay.back.count) == (3_000_000, 2_000_000)
    assert line.pipes.count <= 2


def pump_on(flow: SplicedFlow) -> None:
    for _ in range(1000):
        flow.source.watch.readable = True
        flow.pump(SCRATCH)


def fill(line: Line, flow: SplicedFlow) -> int:
    """Send until the sink takes no more: how much was sent."""
    line.left.setblocking(False)
    sent = 0
    while not flow.sink.blocked:
        with contextlib.suppress(BlockingIOError):
            sent += line.left.send(bytes(100_000))
        flow.source.watch.readable = True
        flow.pump(SCRATCH)
    return sent


def test_what_the_sink_does_not_take_stays_in_the_pipe_and_no_more_is_received(line: Line) -> None:
    flow = SplicedFlow(line.one, line.other, line.pipes)
    fill(line, flow)
    assert (flow.sends, flow.receives, flow.done) == (True, False, False)
    before = flow.count
    for _ in range(10):
        assert not flow.pump(SCRATCH)
    assert flow.count == before
    assert line.pipes.count == 1


def test_when_there_is_room_it_goes_on_and_the_pipe_is_free(line: Line) -> None:
    flow = SplicedFlow(line.one, line.other, line.pipes)
    sent = fill(line, flow)
    line.left.shutdown(socket.SHUT_WR)
    got = bytearray()
    while len(got) < sent:
        got += line.right.recv(1 << 20)
        flow.source.watch.readable = True
        flow.pump(SCRATCH)
    while not flow.done:
        flow.source.watch.readable = True
        flow.pump(SCRATCH)
    assert receive_all(line.right) == b""
    assert flow.count == sent
    assert line.pipes.count == 1
    pipe = line.pipes.borrow()
    assert pipe is not None
    assert (pipe.kept, line.pipes.count) == (0, 1)


def test_a_pipe_that_is_kept_is_closed_with_its_flow(line: Line) -> None:
    before = descriptors()
    flow = SplicedFlow(line.one, line.other, line.pipes)
    fill(line, flow)
    assert descriptors() == before + 2
    del flow
    assert descriptors() == before
    assert line.pipes.count == 0


def test_where_all_pipes_are_out_bytes_go_the_other_way(line: Line) -> None:
    out = [line.pipes.borrow() for _ in range(MAX_PIPES)]
    assert None not in out
    assert line.pipes.borrow() is None
    flow = SplicedFlow(line.one, line.other, line.pipes)
    line.left.sendall(b"by hand")
    line.wakeup.wait(0)
    while not flow.count:
        flow.source.watch.readable = True
        flow.pump(SCRATCH)
    assert line.right.recv(100) == b"by hand"


def test_what_is_held_goes_first(line: Line) -> None:
    flow = SplicedFlow(line.one, line.other, line.pipes)
    flow.held = b"first, "
    line.left.sendall(b"second")
    while flow.count < 13:
        flow.source.watch.readable = True
        flow.pump(SCRATCH)
    assert line.right.recv(100) == b"first, second"


def test_a_reset_source_is_an_error_and_what_came_before_it_is_salvaged(line: Line) -> None:
    flow, back = SplicedFlow(line.one, line.other, line.pipes), SplicedFlow(line.other, line.one, line.pipes)
    line.left.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.left.close()
    line.right.sendall(b"an answer")
    with pytest.raises(SocketError, match="Connection reset by peer"):
        pump_on(flow)
    back.salvage(SCRATCH)


def test_a_sink_that_is_gone_is_an_error(line: Line) -> None:
    flow = SplicedFlow(line.one, line.other, line.pipes)
    line.right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.right.close()
    line.left.sendall(b"to nobody")
    with pytest.raises(SocketError, match="writesocket"):
        pump_on(flow)


def test_what_is_kept_is_salvaged_as_far_as_there_is_room(line: Line) -> None:
    flow = SplicedFlow(line.one, line.other, line.pipes)
    fill(line, flow)
    before = flow.count
    flow.salvage(SCRATCH)
    assert flow.count == before
    line.right.recv(1 << 22)
    while flow.count == before:
        flow.salvage(SCRATCH)
    assert flow.count > before
