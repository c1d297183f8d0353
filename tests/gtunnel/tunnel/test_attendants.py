"""Greenlets that serve one connection after the other."""

import gc
import socket
import weakref
from collections.abc import Callable
from functools import partial

import gevent
import pytest
from gevent import getcurrent
from gevent.event import Event

from gtunnel.net.transparency import Accepted
from gtunnel.tunnel import attendants
from gtunnel.tunnel.attendants import Attendants


class Party:
    """Connections that last until they are told to go; what they did is noted."""

    def __init__(self) -> None:
        self.go = Event()
        self.seen: list[object] = []
        self.ended = 0
        self.attendants = Attendants(self._end)

    def arrive(self, count: int) -> None:
        for _ in range(count):
            self.arrives(Accepted(socket.socket(), None, None))

    def arrives(self, accepted: Accepted) -> None:
        self.attendants.attend(partial(self._serve, accepted))

    def _serve(self, accepted: Accepted) -> None:
        self.seen.append(getcurrent())
        with accepted.sock:
            self.go.wait()

    def _end(self) -> None:
        self.ended += 1


def until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.001)


def test_each_connection_has_its_own_and_the_next_ones_have_the_same() -> None:
    party = Party()
    party.arrive(3)
    assert party.attendants.busy == 3
    until(lambda: len(party.seen) == 3)
    assert len(set(party.seen)) == 3
    party.go.set()
    until(lambda: party.attendants.busy == 0)
    assert party.ended == 3
    party.arrive(3)
    until(lambda: party.ended == 6)
    assert set(party.seen[3:]) == set(party.seen[:3])


def test_few_wait_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attendants, "IDLE", 2)
    party = Party()
    party.arrive(5)
    until(lambda: len(party.seen) == 5)
    gone = [weakref.ref(one) for one in party.seen]
    party.go.set()
    until(lambda: party.attendants.busy == 0)
    party.seen.clear()
    gc.collect()
    assert sum(one() is not None for one in gone) == 2


def test_nothing_of_a_connection_outlives_it() -> None:
    party = Party()
    accepted = Accepted(socket.socket(), None, None)
    sock = weakref.ref(accepted.sock)
    party.arrives(accepted)
    del accepted
    party.go.set()
    until(lambda: party.ended == 1)
    assert sock() is None


def test_those_who_are_killed_end_and_others_come_after_them() -> None:
    party = Party()
    party.arrive(2)
    # The second one has not begun yet: it begins, and ends.
    party.attendants.kill(10)
    assert (party.attendants.busy, len(party.seen), party.ended) == (0, 2, 2)
    party.go.set()
    party.arrive(1)
    until(lambda: party.ended == 3)


def test_who_does_not_end_is_not_waited_for_for_ever() -> None:
    stubborn, go = [], Event()

    def serve(accepted: Accepted) -> None:
        with accepted.sock:
            try:
                gevent.sleep(60)
            finally:
                stubborn.append(go.wait())

    served = Attendants(lambda: None)
    served.attend(partial(serve, Accepted(socket.socket(), None, None)))
    with gevent.Timeout(10):
        served.kill(0.05)
    assert served.busy == 1
    go.set()
    until(lambda: served.busy == 0)
    assert stubborn == [True]


def test_a_bug_is_told_and_ends_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    ended = []

    def serve(accepted: Accepted) -> None:
        accepted.sock.close()
        raise ValueError("a bug")

    served = Attendants(lambda: ended.append(1))
    for count in (1, 2):
        served.attend(partial(serve, Accepted(socket.socket(), None, None)))
        until(lambda count=count: len(ended) == count)  # type: ignore[misc]
    assert served.busy == 0
    assert capsys.readouterr().err.count("ValueError: a bug") == 2
