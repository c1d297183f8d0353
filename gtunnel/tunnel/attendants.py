"""The greenlets that connections run in. One that has served a connection waits for the next.

A new greenlet is dear beside a short connection: Python maps a stack for it and gives it back at its end, and the pages
are touched for the first time each time. So a few wait where nothing is to be done; what a burst needs beyond them goes
when it is over.

They are plain greenlets. gevent's timeouts, events and pools work in them as in its own.
"""

import sys
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

import gevent
from gevent import GreenletExit, get_hub, getcurrent
from greenlet import greenlet

# Kept waiting, at most: some 20 KiB each.
IDLE: Final = 32
# How often `kill` looks whether the last one has gone.
_LOOK_SECONDS: Final = 0.01


class Attendants:
    """Those of one worker. `busy` is how many serve a connection."""

    def __init__(self, ended: Callable[[], None]) -> None:
        """`ended` is called whenever one has done with a connection, whatever came of it."""
        self._ended = ended
        self._hub: Any = get_hub()
        self._busy: set[Any] = set()
        self._idle: list[Any] = []
        # Not given to a greenlet as it is started: it would hold on to its first connection as long as it lives.
        self._work: deque[Callable[[], None]] = deque()

    @property
    def busy(self) -> int:
        """How many serve a connection now, or will in the loop's next turn."""
        return len(self._busy)

    def attend(self, serve: Callable[[], None]) -> None:
        """Have a connection served, from the loop's next turn on: `serve` is called in one of them."""
        one = self._idle.pop() if self._idle else greenlet(self._live, self._hub)
        self._busy.add(one)
        self._work.append(serve)
        self._hub.loop.run_callback(one.switch)

    def kill(self, seconds: float) -> None:
        """End all connections now, and wait for that so long. Not to be called from the hub."""
        # Those who were accepted just now begin, so that they are accounted for like the others.
        gevent.sleep(0)
        for one in self._busy:
            self._hub.loop.run_callback(one.throw, GreenletExit)
        deadline = monotonic() + seconds
        while self._busy and monotonic() < deadline:
            gevent.sleep(_LOOK_SECONDS)

    def _live(self) -> None:
        myself = getcurrent()
        while True:
            try:
                self._work.popleft()()
            except GreenletExit:
                return
            except Exception:  # noqa: BLE001 - in the hub, where it would go, it would end the worker
                self._hub.handle_error(myself, *sys.exc_info())
            finally:
                self._busy.discard(myself)
                self._ended()
            if len(self._idle) >= IDLE:
                return
            self._idle.append(myself)
            self._hub.switch()
