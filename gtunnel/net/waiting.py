"""How a connection's greenlet waits: for several descriptors at once, with one deadline.

gevent's own waits are for one descriptor, make a watcher and a timer each time, and would need two greenlets per
connection. Here the watchers live as long as the connection, stay armed while the interest does not change (libev
then makes no system call), and the timer is only moved when it would fire too late.

A watcher is level-triggered: one that fires while its greenlet is not in `wait` would fire in every turn of the loop,
so it disarms itself, and `wait` arms it again.
"""

import select
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, Protocol

from gevent import get_hub, getcurrent

READ: Final = 1
WRITE: Final = 2


class Readiness(Protocol):
    """What others need of a `Watch`: see there."""

    readable: bool
    react: Callable[[], bool] | None

    @property
    def armed(self) -> int:
        """What it waits for now."""

    def want(self, events: int) -> None:
        """Set what it waits for."""


class Watch:
    """The readiness of one descriptor, for one `Wakeup`. It does not own the descriptor.

    `readable` / `writable` start out true (trying costs one call and often succeeds) and are cleared by whoever met
    EAGAIN. `armed` is the interest. `react` is what deals with input while the wakeup attends: see there.
    """

    __slots__ = ("_input", "_make", "_room", "_wakeup", "armed", "fd", "react", "readable", "writable")

    def __init__(self, fd: int, make: Callable[[int, int], Any], wakeup: "Wakeup") -> None:
        self.fd = fd
        self.readable = True
        self.writable = True
        self.armed = 0
        self.react: Callable[[], bool] | None = None
        self._make = make
        # The loop's watchers, made when they are wanted first: most sockets always have room.
        self._input: Any = None
        self._room: Any = None
        self._wakeup = wakeup

    def want(self, events: int) -> None:
        """Set the interest: READ, WRITE, both or 0."""
        changed = events ^ self.armed
        if not changed:
            return
        if changed & READ:
            if events & READ:
                if self._input is None:
                    self._input = self._make(self.fd, READ)
                self._input.start(self._wakeup.tell_input, self)
            else:
                self._input.stop()
        if changed & WRITE:
            if events & WRITE:
                if self._room is None:
                    self._room = self._make(self.fd, WRITE)
                self._room.start(self._has_room)
            else:
                self._room.stop()
        self.armed = events

    def _has_room(self) -> None:
        self.writable = True
        if not self._wakeup.wake():
            self.want(self.armed & ~WRITE)

    def poll(self) -> bool:
        """Look at the interest without waiting; True if anything was ready."""
        if not self.armed:
            # poll(2) tells of errors unasked. Whoever does not care would be woken by them again and again.
            return False
        poller = select.poll()
        mask = (select.POLLIN if self.armed & READ else 0) | (select.POLLOUT if self.armed & WRITE else 0)
        poller.register(self.fd, mask)
        ready = poller.poll(0)
        for _, found in ready:
            self.readable = self.readable or bool(found & ~select.POLLOUT)
            self.writable = self.writable or bool(found & ~select.POLLIN)
        return bool(ready)

    def shrink(self) -> None:
        """Give back the watcher that is not needed now."""
        if self._room is not None and not self.armed & WRITE:
            self._room.close()
            self._room = None

    def close(self) -> None:
        """Give the watchers back. Must come before the descriptor is closed."""
        self.react = None  # it leads back here: a cycle
        self.want(0)
        for watcher in (self._input, self._room):
            if watcher is not None:
                watcher.close()


class Wakeup:
    """Where one greenlet waits. Owns its watches and its timer: `close` it when the connection ends."""

    __slots__ = (
        *("_attends", "_deadline", "_expiry", "_greenlet", "_hub", "_outcome", "_resume", "_seconds", "_timer"),
        "_watches",
    )

    def __init__(self) -> None:
        self._hub = get_hub()
        self._greenlet: Any = None
        self._attends = False
        self._resume: Callable[[], None] | None = None
        self._outcome: Exception | bool = True
        self._seconds = 0.0
        self._watches: list[Watch] = []
        self._timer: Any = None
        self._expiry = 0.0
        self._deadline = 0.0

    def watch(self, fd: int) -> Watch:
        """Start watching a descriptor; no interest yet."""
        watch = Watch(fd, self._hub.loop.io, self)
        self._watches.append(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        """End a watch before its descriptor is closed."""
        self._watches.remove(watch)
        watch.close()

    def wait(self, seconds: float) -> bool:
        """Let others run until a watch fires; False if `seconds` passed before. 0 looks without waiting."""
        if seconds <= 0:
            return sum(watch.poll() for watch in self._watches) > 0
        self._due_in(seconds)
        self._greenlet = getcurrent()
        try:
            # True from `wake`, False from the timer.
            return self._hub.switch()  # type: ignore[no-any-return]
        finally:
            self._greenlet = None

    def attend(self, seconds: float) -> bool:
        """Wait, but let each watch's `react` deal with its input: at once, in the loop, without a switch of greenlets.

        It must not wait itself. While it returns True the wait begins anew; False ends it (True is returned), and
        so does an exception, which is raised here. False if nothing came for `seconds`, which must be more than 0.
        """
        self._attends, self._seconds = True, seconds
        try:
            return self.wait(seconds)
        finally:
            self._attends = False

    def leave(self, seconds: float, resume: Callable[[], None]) -> None:
        """What `attend` does, without a greenlet that waits for it: a wait that may be long costs no stack.

        At its end `resume` is called in the loop, once, and must not wait itself; `outcome` tells what came of it.
        After `close` nothing is called any more.
        """
        self._attends, self._resume, self._seconds = True, resume, seconds
        self._due_in(seconds)

    def outcome(self) -> bool:
        """What a wait that was left has come to: as `attend` returns, or raises, and once."""
        outcome, self._outcome = self._outcome, True
        if isinstance(outcome, bool):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # see `wake`

    def rest(self) -> None:
        """Let others run for one turn of the loop: between the pieces of work of a busy connection."""
        self._hub.loop.run_callback(self.wake)
        self._greenlet = getcurrent()
        try:
            self._hub.switch()
        finally:
            self._greenlet = None

    def close(self) -> None:
        """Give everything back to the loop."""
        self._disarm()
        self._attends, self._resume = False, None
        while self._watches:
            self._watches.pop().close()

    def wake(self) -> bool:
        """For the loop: end the wait at once; False if nobody waits."""
        if self._greenlet is None and self._resume is None:
            return False
        self._end_wait(True)
        return True

    def tell_input(self, watch: Readiness) -> None:
        """For the loop: there is input. While the wakeup attends, this is the way of all that is relayed."""
        watch.readable = True
        if not self._attends or watch.react is None:
            if not self.wake():
                watch.want(watch.armed & ~READ)
            return
        try:
            if watch.react():
                self._deadline = monotonic() + self._seconds
                return
            outcome: Exception | bool = True
        except Exception as raised:  # noqa: BLE001 - all of it is the greenlet's
            outcome = raised
        try:
            self._end_wait(outcome)
        finally:
            # An exception knows this frame: one that the frame knows as well would be there until the collector comes
            # by, and all of its connection with it.
            del outcome

    def _end_wait(self, outcome: Exception | bool) -> None:
        greenlet, resume = self._greenlet, self._resume
        # Cleared first: a second watcher that fires in the same turn must not switch into whatever runs next.
        self._greenlet = self._resume = None
        self._attends = False
        if resume is not None:
            self._outcome = outcome
            resume()
        elif greenlet is not None and isinstance(outcome, bool):
            greenlet.switch(outcome)
        elif greenlet is not None:
            greenlet.throw(outcome)

    def _due_in(self, seconds: float) -> None:
        self._deadline = deadline = monotonic() + seconds
        if self._timer is None or deadline < self._expiry:
            self._arm(seconds)

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._expiry = monotonic() + seconds
        self._timer = self._hub.loop.timer(seconds)
        self._timer.start(self._expired)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.close()
            self._timer = None

    def _expired(self) -> None:
        # Most waits end early and leave the timer where it was; it moves on when it finds out.
        remaining = self._deadline - monotonic()
        if remaining > 0:
            self._arm(remaining)
            return
        self._disarm()
        self._end_wait(False)
