"""The relay over legs that are lists: every order of events, without sockets."""

from collections.abc import Callable
from time import monotonic

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gtunnel.conf.settings import Timeouts
from gtunnel.net.errors import SocketError, WaitTimeoutError
from gtunnel.net.legs import Scratch
from gtunnel.net.waiting import Wakeup
from gtunnel.tunnel.relay import CALM_BYTES, Relay

QUICK = Timeouts(busy=1, close=0.02, connect=1, idle=0.05)


class ScriptedWatch:
    """Readable while there is a script."""

    def __init__(self, script: list[bytes | Exception | None]) -> None:
        self._script = script
        self.armed = 0
        self.react: Callable[[], bool] | None = None

    @property
    def readable(self) -> bool:
        return bool(self._script)

    @readable.setter
    def readable(self, _told: bool) -> None:
        """The script knows better."""

    def want(self, events: int) -> None:
        self.armed = events


class ScriptedLeg:
    """Gives what its script says, one item a receive: bytes, None (nothing now), b"" (the end), or an error.

    Takes `room` bytes a send, and every other time nothing at all.
    """

    def __init__(self, script: list[bytes | Exception | None], room: int = 1 << 20) -> None:
        self.script = list(script)
        self.room = room
        self.blocked = False
        self.taken = bytearray()
        self.finished = 0
        self.shrunk = 0
        self.wants: list[tuple[bool, bool]] = []
        self.watch = ScriptedWatch(self.script)

    @property
    def pending(self) -> bool:
        """No loop tells of what comes."""
        return bool(self.script)

    def receive(self, buffer: memoryview) -> int | None:
        item = self.script.pop(0) if self.script else None
        if isinstance(item, Exception):
            raise item
        if item is None:
            return None
        rest = item[len(buffer) :]
        if rest:
            self.script.insert(0, rest)
        buffer[: len(item) - len(rest)] = item[: len(buffer)]
        return len(item) - len(rest)

    def send(self, data: memoryview) -> int:
        assert not self.finished
        count = min(self.room, len(data))
        self.taken += data[:count]
        self.blocked = count < len(data)
        return count

    def flush(self) -> bool:
        self.blocked = False
        return True

    def finish(self) -> None:
        self.finished += 1

    def want(self, *, receive: bool, send: bool) -> None:
        self.wants.append((receive, send))

    def shrink(self) -> None:
        self.shrunk += 1

    def spare(self) -> None:
        raise AssertionError("the relay does not say farewell")

    def close(self, *, reset: bool) -> None:
        raise AssertionError(f"the relay does not close (reset={reset})")


def run(
    one: ScriptedLeg, other: ScriptedLeg, timeouts: Timeouts = QUICK, *, room_comes: bool = False
) -> tuple[bool | None, Relay]:
    wakeup = Wakeup()
    relay = Relay(one, other)
    try:
        # Then whatever blocks is free again in the next turn.
        waker = gevent.spawn(_wake_for_ever, wakeup) if room_comes else None
        ended = relay.run(Scratch(), wakeup, timeouts)
        if waker is not None:
            waker.kill()
        return ended, relay
    finally:
        wakeup.close()


def _wake_for_ever(wakeup: Wakeup) -> None:
    while True:
        gevent.get_hub().loop.run_callback(wakeup.wake)
        gevent.sleep(0)


def test_both_directions_arrive_and_both_ends_are_passed_on() -> None:
    one, other = ScriptedLeg([b"question", b""]), ScriptedLeg([None, b"answer", b""])
    ended, relay = run(one, other)
    assert ended
    assert (bytes(other.taken), bytes(one.taken)) == (b"question", b"answer")
    assert (one.finished, other.finished) == (1, 1)
    assert (relay.forth.count, relay.back.count) == (8, 6)


def test_the_end_of_one_direction_leaves_the_other_open() -> None:
    one, other = ScriptedLeg([b""]), ScriptedLeg([b"late", None, b"later", b""])
    assert run(one, other)[0]
    assert bytes(one.taken) == b"latelater"


def test_silence_both_ways_is_idle() -> None:
    with pytest.raises(WaitTimeoutError, match="TIMEOUTidle exceeded: sending reset"):
        run(ScriptedLeg([None]), ScriptedLeg([None]))


def test_silence_of_a_half_closed_connection_ends_it_in_order() -> None:
    one, other = ScriptedLeg([b"x", b""]), ScriptedLeg([None])
    ended, _ = run(one, other)
    assert not ended
    assert bytes(other.taken) == b"x"
    assert other.finished == 1


def test_an_error_comes_after_all_that_came_before_it() -> None:
    one, other = ScriptedLeg([b"good", SocketError(operation="x", reason="y")]), ScriptedLeg([None])
    with pytest.raises(SocketError):
        run(one, other)
    assert bytes(other.taken) == b"good"
    assert other.finished == 0


def test_an_answer_that_came_before_the_failure_of_its_writer_arrives_without_an_end() -> None:
    class Refusing(ScriptedLeg):
        def send(self, data: memoryview) -> int:
            raise SocketError(operation="writesocket", reason=f"{len(data)} bytes refused")

    one, other = ScriptedLeg([b"a long request"]), Refusing([b"early ", b"answer", b""])
    with pytest.raises(SocketError, match="writesocket"):
        run(one, other)
    assert bytes(one.taken) == b"early answer"
    assert one.finished == 0


def test_a_blocked_sink_stops_its_source_and_not_the_other_direction() -> None:
    class Stuck(ScriptedLeg):
        def flush(self) -> bool:
            return False

    one, other = ScriptedLeg([b"x" * 10, b"never read"]), Stuck([b"answer", None], room=3)
    with pytest.raises(WaitTimeoutError):
        run(one, other)
    assert one.script == [b"never read"]
    assert bytes(one.taken) == b"answer"
    assert one.wants[-1][0] is False


chunks = st.lists(st.one_of(st.none(), st.binary(min_size=1, max_size=100)), max_size=8)


@settings(deadline=None, max_examples=50)
@given(chunks, chunks, st.integers(7, 50), st.integers(7, 50))
def test_any_mixture_of_chunks_and_room_arrives(
    forth: list[bytes | None], back: list[bytes | None], room: int, other_room: int
) -> None:
    one, other = ScriptedLeg([*forth, b""], room), ScriptedLeg([*back, b""], other_room)
    assert run(one, other, Timeouts(busy=1, close=5, connect=1, idle=5), room_comes=True)[0]
    assert bytes(other.taken) == b"".join(part for part in forth if part)
    assert bytes(one.taken) == b"".join(part for part in back if part)


def test_who_wants_to_know_hears_of_the_first_bytes_only_once() -> None:
    one, other = ScriptedLeg([None, b"a", b"b"]), ScriptedLeg([])
    relay, heard = Relay(one, other), []
    relay.forth.on_first = lambda: heard.append(bytes(other.taken))
    for _ in range(3):
        relay.forth.pump(memoryview(bytearray(10)))
    assert heard == [b""]
    assert bytes(other.taken) == b"ab"


class Calm:
    """A relay whose both sides have spoken and now say nothing, and which is left as soon as that is calm."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, idle: float = 5) -> None:
        monkeypatch.setattr("gtunnel.tunnel.relay.CALM_SECONDS", 0.02)
        self.one, self.other = ScriptedLeg([b"question"]), ScriptedLeg([b"answer"])
        self.relay, self.wakeup = Relay(self.one, self.other), Wakeup()
        self.timeouts = Timeouts(busy=1, close=0.02, connect=1, idle=idle)
        self.resumed = 0

    def run(self) -> bool | None:
        return self.relay.run(Scratch(), self.wakeup, self.timeouts, self._resume)

    def _resume(self) -> None:
        self.resumed += 1

    def come(self, leg: ScriptedLeg, *items: bytes | Exception) -> None:
        """Something comes."""
        for item in items:
            leg.script.append(item)
            self.wakeup.tell_input(leg.watch)

    def take_up(self) -> None:
        self.relay.take_up(self.wakeup)


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> Calm:
    made = Calm(monkeypatch)
    assert made.run() is None
    return made


def test_a_calm_relay_is_left_to_the_loop_and_its_legs_shrink(calm: Calm) -> None:
    assert (calm.one.shrunk, calm.other.shrunk) == (1, 1)
    calm.come(calm.one, b" and", b" more")
    calm.come(calm.other, b" too")
    assert bytes(calm.other.taken) == b"question and more"
    assert bytes(calm.one.taken) == b"answer too"
    assert calm.resumed == 0


def test_an_end_is_for_a_greenlet_again(calm: Calm) -> None:
    calm.come(calm.one, b"")
    assert calm.resumed == 1
    calm.take_up()
    calm.other.script.append(b"")
    assert calm.run() is True
    assert (calm.one.finished, calm.other.finished) == (1, 1)


def test_a_failure_passes_on_what_has_come_and_is_raised(calm: Calm) -> None:
    calm.other.script.append(b" in time")
    calm.one.script.append(SocketError(operation="x", reason="y"))
    calm.wakeup.tell_input(calm.one.watch)
    with pytest.raises(SocketError):
        calm.take_up()
    assert bytes(calm.one.taken) == b"answer in time"


def test_who_moves_much_is_busy_again_and_shrinks_again(calm: Calm) -> None:
    calm.come(calm.one, b"x" * CALM_BYTES)
    assert calm.resumed == 1
    calm.take_up()
    calm.resumed = 0
    assert calm.run() is None
    assert (calm.one.shrunk, calm.other.shrunk) == (2, 2)
    calm.come(calm.one, b"y" * (CALM_BYTES - 1))
    assert calm.resumed == 0


def test_time_in_calm_counts_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = Calm(monkeypatch, idle=0.1)
    began = monotonic()
    assert calm.run() is None
    while not calm.resumed:
        gevent.sleep(0.005)
    assert 0.09 < monotonic() - began < 2
    with pytest.raises(WaitTimeoutError, match="TIMEOUTidle exceeded"):
        calm.take_up()


def test_where_idle_is_shorter_than_calm_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = Calm(monkeypatch, idle=0.01)
    with pytest.raises(WaitTimeoutError):
        calm.run()
    assert calm.one.shrunk == 0


def test_half_closed_or_without_anybody_who_takes_it_up_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    calm = Calm(monkeypatch)
    calm.one.script.append(b"")
    assert calm.run() is False
    alone = Calm(monkeypatch, idle=0.1)
    with pytest.raises(WaitTimeoutError):
        alone.relay.run(Scratch(), alone.wakeup, alone.timeouts)
    assert (calm.one.shrunk, alone.one.shrunk) == (0, 0)
