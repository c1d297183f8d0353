"""How a greenlet waits."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from gtunnel.net.waiting import READ, WRITE, Wakeup, Watch

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    one = Wakeup()
    yield one
    one.close()


def test_bytes_that_come_wake_it(pair: Pair, wakeup: Wakeup) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    watch.readable = False
    watch.want(READ)
    gevent.spawn_later(0.01, theirs.send, b"x")
    assert wakeup.wait(10) is True
    assert watch.readable


def test_it_gives_up_after_its_time(pair: Pair, wakeup: Wakeup) -> None:
    watch = wakeup.watch(pair[0].fileno())
    watch.want(READ)
    began = time.monotonic()
    assert wakeup.wait(0.05) is False
    assert time.monotonic() - began >= 0.05


def test_a_long_wait_then_a_short_one(pair: Pair, wakeup: Wakeup) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    watch.want(READ)
    theirs.send(b"x")
    assert wakeup.wait(3600) is True
    ours.recv(1)
    assert wakeup.wait(0.02) is False


def test_a_short_wait_that_ended_early_does_not_cut_a_longer_one(pair: Pair, wakeup: Wakeup) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    watch.want(READ)
    theirs.send(b"x")
    assert wakeup.wait(0.05) is True
    ours.recv(1)
    gevent.spawn_later(0.15, theirs.send, b"y")
    assert wakeup.wait(10) is True
    assert ours.recv(1) == b"y"


def test_no_time_is_a_look_without_waiting(pair: Pair, wakeup: Wakeup) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    watch.readable = False
    watch.want(READ)
    assert wakeup.wait(0) is False
    theirs.send(b"x")
    assert wakeup.wait(0) is True
    assert watch.readable


def test_two_descriptors_and_one_greenlet(wakeup: Wakeup) -> None:
    a, a_far = socket.socketpair()
    b, b_far = socket.socketpair()
    with a, a_far, b, b_far:
        first, second = wakeup.watch(a.fileno()), wakeup.watch(b.fileno())
        for watch in (first, second):
            watch.readable = False
            watch.want(READ)
        b_far.send(b"x")
        assert wakeup.wait(10)
        assert (first.readable, second.readable) == (False, True)
        b.recv(1)
        second.readable = False
        a_far.send(b"x")
        assert wakeup.wait(10)
        assert (first.readable, second.readable) == (True, False)


def test_room_to_write_wakes_it(pair: Pair, wakeup: Wakeup) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    with contextlib.suppress(BlockingIOError):
        while ours.send(bytes(65536)):
            pass
    watch.writable = False
    watch.want(WRITE)
    assert wakeup.wait(0.02) is False
    while ours.fileno() >= 0 and not watch.writable:
        theirs.recv(1 << 20)
        wakeup.wait(0.01)
    assert watch.writable


def test_a_descriptor_that_stays_ready_does_not_disturb_a_greenlet_that_waits_elsewhere(
    pair: Pair, wakeup: Wakeup
) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    watch.want(READ)
    theirs.send(b"x")
    gevent.sleep(0.03)
    assert watch.readable
    # It disarmed itself meanwhile; asked for again, it fires again.
    watch.want(READ)
    assert wakeup.wait(10) is True


def test_rest_lets_others_run(wakeup: Wakeup) -> None:
    ran: list[int] = []
    gevent.spawn(ran.append, 1)
    wakeup.rest()
    assert ran == [1]


def test_a_kill_reaches_a_waiting_greenlet(pair: Pair) -> None:
    ended: list[str] = []

    def waits() -> None:
        own = Wakeup()
        own.watch(pair[0].fileno()).want(READ)
        try:
            own.wait(3600)
        finally:
            own.close()
            ended.append("cleaned up")

    greenlet = gevent.spawn(waits)
    gevent.sleep(0)
    greenlet.kill()
    assert ended == ["cleaned up"]


def test_many_waits_leave_nothing_in_the_loop(pair: Pair) -> None:
    ours, theirs = pair
    loop = gevent.get_hub().loop
    before = loop.activecnt
    for _ in range(50):
        own = Wakeup()
        own.watch(ours.fileno()).want(READ)
        theirs.send(b"x")
        assert own.wait(10)
        ours.recv(1)
        own.close()
    assert loop.activecnt == before


React = Callable[[], bool]
Ended = list[bool | Exception]


@pytest.fixture
def ended() -> Ended:
    """What waits that were left have come to."""
    return []


def left(pair: Pair, wakeup: Wakeup, ended: Ended, seconds: float = 10, react: React | None = None) -> Watch:
    """A wait that nobody waits for. Without `react`, whatever comes ends it."""
    watch = wakeup.watch(pair[0].fileno())
    watch.want(READ)

    def resume() -> None:
        try:
            ended.append(wakeup.outcome())
        except ValueError as error:
            ended.append(error)

    watch.react = react or (lambda: False)
    wakeup.leave(seconds, resume)
    return watch


def test_a_wait_that_was_left_goes_on_in_the_loop(pair: Pair, wakeup: Wakeup, ended: Ended) -> None:
    ours, theirs = pair
    got: list[bytes] = []

    def react() -> bool:
        got.append(ours.recv(1))
        return got[-1] != b"!"

    left(pair, wakeup, ended, react=react)
    for letter in (b"a", b"b", b"!"):
        theirs.send(letter)
        gevent.sleep(0.02)
    assert got == [b"a", b"b", b"!"]
    assert ended == [True]


def test_a_wait_that_was_left_ends_once(pair: Pair, wakeup: Wakeup, ended: Ended) -> None:
    watch = left(pair, wakeup, ended)
    pair[1].send(b"x")
    gevent.sleep(0.05)
    assert ended == [True]
    # It stays readable, and the loop does not spin for it.
    assert watch.armed == 0


def test_what_fails_in_a_wait_that_was_left_is_handed_on(pair: Pair, wakeup: Wakeup, ended: Ended) -> None:
    problem = ValueError("no good")

    def react() -> bool:
        raise problem

    left(pair, wakeup, ended, react=react)
    pair[1].send(b"x")
    gevent.sleep(0.02)
    assert ended == [problem]


def test_a_wait_that_was_left_ends_with_its_time_which_begins_anew_with_everything_that_comes(
    pair: Pair, wakeup: Wakeup, ended: Ended
) -> None:
    left(pair, wakeup, ended, seconds=0.3, react=lambda: bool(pair[0].recv(1)))
    for _ in range(4):
        gevent.sleep(0.1)
        pair[1].send(b"x")
    assert ended == []
    gevent.sleep(0.4)
    assert ended == [False]


def test_after_its_end_a_wait_that_was_left_calls_nobody(pair: Pair, wakeup: Wakeup, ended: Ended) -> None:
    left(pair, wakeup, ended, seconds=0.02)
    wakeup.close()
    pair[1].send(b"x")
    gevent.sleep(0.05)
    assert ended == []


def test_who_waits_after_one_that_was_left_has_ended_is_woken(pair: Pair, wakeup: Wakeup, ended: Ended) -> None:
    watch = left(pair, wakeup, ended)
    pair[1].send(b"x")
    gevent.sleep(0.02)
    watch.want(READ)
    assert wakeup.wait(10) is True
    assert len(ended) == 1


def test_a_watch_that_was_shrunk_still_tells_of_room_and_of_input(pair: Pair, wakeup: Wakeup) -> None:
    ours, theirs = pair
    watch = wakeup.watch(ours.fileno())
    for _ in range(2):
        watch.want(WRITE)
        watch.shrink()
        assert wakeup.wait(10) is True
        watch.want(READ)
        watch.shrink()
        theirs.send(b"x")
        assert wakeup.wait(10) is True
        ours.recv(1)
