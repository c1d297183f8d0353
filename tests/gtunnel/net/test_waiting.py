"""How a greenlet waits."""

import contextlib
import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from gtunnel.net.waiting import READ, WRITE, Wakeup

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
