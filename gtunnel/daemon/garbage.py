"""The garbage collector in a worker: its full passes stay short, however many connections there are.

A full pass looks at everything that could be part of a cycle, some fifty objects of each connection, while nothing else
runs: a third of a second at 9,000 connections, whenever a quarter of them are new. There is next to nothing to find:
a connection that has ended leaves no cycle, so its memory is free at once. So what has survived one full pass is not
looked at by the next ones (`gc.freeze`), and what somebody's bug leaves behind is found once in `THAW_SECONDS`.
"""

import gc
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

# How often all is looked at again, at most: a pause for each quarter of a million objects of some fifty milliseconds.
THAW_SECONDS: Final = 3600.0

# Passes of the middle generation (7,000 objects each) to a full one. Python's 10 would make those of 50 milliseconds.
_MIDDLE_PASSES: Final = 2
_FULL: Final = 2  # the oldest generation


class Passes:
    """Watches over one process's passes, from its making on. What is there then is taken to last as long as it does."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        """Freeze what is there."""
        gc.collect()
        gc.freeze()
        self._clock = clock
        self._loaded = gc.get_freeze_count()
        self._due = clock() + THAW_SECONDS
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, _MIDDLE_PASSES)
        gc.callbacks.append(self._notice)

    def _notice(self, phase: str, info: dict[str, Any]) -> None:
        if info["generation"] != _FULL:
            return
        if phase == "stop":
            gc.freeze()
        elif self._clock() >= self._due:
            self._due = self._clock() + THAW_SECONDS
            # Looking at what was loaded makes it this process's own, instead of the one copy that all workers share.
            # Where there is little else, that costs more than it can bring.
            if gc.get_freeze_count() > 2 * self._loaded:
                gc.unfreeze()
