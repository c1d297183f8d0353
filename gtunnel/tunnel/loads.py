"""How many connections each worker has, where all of them see it: so that whoever has more lets the others go first.

All workers wait on the same listening sockets, and whoever wakes first would take whatever waits there: of eight
connections that come together, often all. So a worker that is ahead of another leaves a new connection to it, for a
moment (see `acceptor`). It is memory that is mapped before they are forked; each worker writes its own number only,
without a lock: a number that is a moment old does no harm.
"""

import mmap
from typing import Final

from gtunnel.values import dataclass

# Workers that may live at a time: those that serve, and those that drain after reloads. Others do without.
PLACES: Final = 256
# How much more than the least busy worker, as a part of what that one has, still counts as level.
SLACK_PART: Final = 16

# Each number is a signed one of 64 bits. Who does not accept has more connections than anybody: the least busy one is
# then the least number, which takes no loop of ours.
_NUMBER_BYTES: Final = 8
_VACANT: Final = (1 << 63) - 1


class Loads:
    """The numbers. Made by the supervisor before it forks, which also hands the places out."""

    def __init__(self) -> None:
        # First how many places were ever in use: nobody looks at those behind.
        self._numbers = memoryview(mmap.mmap(-1, (1 + PLACES) * _NUMBER_BYTES)).cast("q")
        self._taken: set[int] = set()

    def take(self) -> "Share | None":
        """A place for a worker to come; None if there is none left."""
        place = next((place for place in range(1, PLACES + 1) if place not in self._taken), None)
        if place is None:
            return None
        self._taken.add(place)
        self._numbers[place] = _VACANT
        self._numbers[0] = max(place, self._numbers[0])
        return Share(self._numbers, place)

    def give_back(self, share: "Share | None") -> None:
        """A worker is gone, and its connections are with it."""
        if share is not None:
            share.leave()
            self._taken.discard(share.place)


@dataclass(frozen=True, slots=True)
class Share:
    """One worker's place among the others. It sees all numbers, and writes its own."""

    _numbers: memoryview
    place: int

    def note(self, connections: int) -> None:
        """It accepts, and has so many connections."""
        self._numbers[self.place] = connections

    def leave(self) -> None:
        """It accepts no more: nobody leaves anything to it."""
        self._numbers[self.place] = _VACANT

    def is_ahead(self, connections: int) -> bool:
        """Whether with so many it has more than the least busy one, who should go first."""
        numbers = self._numbers
        least = min(numbers[1 : 1 + numbers[0]])
        return connections > least + least // SLACK_PART

    def least(self) -> int:
        """What the least busy of the workers that accept has; it may be this one."""
        return min(self._numbers[1 : 1 + self._numbers[0]])
