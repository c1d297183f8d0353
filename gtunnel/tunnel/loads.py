"""How many connections each worker has, where all of them see it: so that whoever has more lets the others go first.

All workers wait on the same listening sockets, and whoever wakes first would take whatever waits there: of eight
connections that come together, often all. So a worker that is ahead of another leaves a new connection to it, for a
moment (see `acceptor`). It is memory that is mapped before they are forked; each worker writes its own number only,
without a lock: a number that is a moment old does no harm.
"""

import mmap
import struct
from typing import Final

from gtunnel.values import dataclass

# Workers that may live at a time: those that serve, and those that drain after reloads. Others do without.
PLACES: Final = 256
# How much more than the least busy worker, as a part of what that one has, still counts as level.
SLACK_PART: Final = 16

_NUMBER: Final = struct.Struct("=q")
_VACANT: Final = -1


class Loads:
    """The numbers. Made by the supervisor before it forks, which also hands the places out."""

    def __init__(self) -> None:
        # First how many places were ever in use: nobody looks at those behind.
        self._memory = mmap.mmap(-1, (1 + PLACES) * _NUMBER.size)
        self._taken: set[int] = set()

    def take(self) -> "Share | None":
        """A place for a worker to come; None if there is none left."""
        place = next((place for place in range(1, PLACES + 1) if place not in self._taken), None)
        if place is None:
            return None
        self._taken.add(place)
        self._write(place, _VACANT)
        self._write(0, max(place, self._used()))
        return Share(self, place)

    def give_back(self, share: "Share | None") -> None:
        """A worker is gone, and its connections are with it."""
        if share is not None:
            share.leave()
            self._taken.discard(share.place)

    def least(self) -> int:
        """What the least busy of the workers that accept has; -1 if none does."""
        numbers = _NUMBER.iter_unpack(self._memory[_NUMBER.size : (1 + self._used()) * _NUMBER.size])
        return min((number for (number,) in numbers if number != _VACANT), default=_VACANT)

    def _used(self) -> int:
        (used,) = _NUMBER.unpack_from(self._memory)
        return int(used)

    def _write(self, place: int, number: int) -> None:
        _NUMBER.pack_into(self._memory, place * _NUMBER.size, number)


@dataclass(frozen=True, slots=True)
class Share:
    """One worker's place among the others."""

    _loads: Loads
    place: int

    def note(self, connections: int) -> None:
        """It accepts, and has so many connections."""
        self._loads._write(self.place, connections)

    def leave(self) -> None:
        """It accepts no more: nobody leaves anything to it."""
        self._loads._write(self.place, _VACANT)

    def is_ahead(self, connections: int) -> bool:
        """Whether with so many it has more than the least busy one, who should go first."""
        least = self._loads.least()
        return least != _VACANT and connections > least + least // SLACK_PART

    def least(self) -> int:
        """What the least busy worker has; it may be this one."""
        return self._loads.least()
