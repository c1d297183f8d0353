"""Signals that wait: what is half made, or half removed, cannot be left by SIGINT, SIGTERM or SIGHUP.

Python runs its signal handlers between any two instructions of the main thread, so a handler that raises can raise in
the middle of an undo. In `held` the handlers only take notes. What was noted takes effect at the end of `held`, or
where it is `released`, as if the signal came then: the handler that was there before raises, or the process ends.

The small programs that do the work have to be spared, too: a terminal signals all programs of the foreground, and a
service manager all of a service. A signal mask is inherited, which a handler is not: `spared`.

A command makes itself `interruptible`, so that all three signals unwind the stack, and a second one does not
interrupt the clean-up after the first.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated", signal.SIGHUP: "Hung up"}

Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupted(BaseException):
    """One of the signals came. `status` is what a shell says of a program that one ended."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = signal.Signals(number)
        self.status = 128 + number

    @property
    def what(self) -> str:
        """The signal in a word."""
        return _WORDS[self.number]


class Hold:
    """The signals that wait. Made by `held`."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Handler] = {}
        self._waiting: list[signal.Signals] = []

    @property
    def waiting(self) -> bool:
        """Whether one came."""
        return bool(self._waiting)

    @contextmanager
    def released(self) -> Iterator[None]:
        """A place within `held` where signals do take effect: first those that wait, here, then any that comes."""
        try:
            self._end()
            yield
        finally:
            self._begin()

    def _begin(self) -> None:
        # Handlers run in the main thread only, so there is nothing to hold in another.
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        with spared():
            for number in HELD:
                before = signal.getsignal(number)
                # What is ignored (nohup) stays ignored, and what was not installed by Python cannot be put back.
                if before not in (signal.SIG_IGN, None):
                    self._before[number] = before
                    signal.signal(number, self._note)

    def _end(self) -> None:
        with spared():
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._before.clear()
            # Each once: somebody impatient meant the same thing twice.
            for number in dict.fromkeys(self._waiting):
                signal.raise_signal(number)
            self._waiting.clear()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._waiting.append(signal.Signals(number))


@contextmanager
def held() -> Iterator[Hold]:
    """Let signals wait until the end. Can be nested: then they wait for the end of the outer one."""
    hold = Hold()
    try:
        hold._begin()
        yield hold
    finally:
        hold._end()


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first signal raise `Interrupted`; those after it have no effect until the end. For the main thread."""
    came = False

    def leave(number: int, _frame: FrameType | None) -> None:
        nonlocal came
        if not came:
            came = True
            raise Interrupted(number)

    before: dict[signal.Signals, Handler] = {}
    try:
        for number in HELD:
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):
                before[number] = handler
                signal.signal(number, leave)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def spared() -> Iterator[None]:
    """Block the signals for this thread and for programs that it starts meanwhile; for some milliseconds only."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
