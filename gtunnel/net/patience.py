"""Not asking again at once what has just failed to answer: a cache that is down must not make connections wait."""

from collections.abc import Callable
from dataclasses import field
from time import monotonic
from typing import Final

from gtunnel.events import Level, Log
from gtunnel.values import dataclass

# How long a server that failed is left alone.
REST_SECONDS: Final = 10.0


@dataclass(slots=True)
class Patience:
    """One server's: whether to ask it, and telling the log when that changes."""

    server: str
    clock: Callable[[], float] = field(default=monotonic)
    _until: float | None = None

    def worn(self) -> bool:
        """Whether it is to be left alone now."""
        return self._until is not None and self.clock() < self._until

    def failed(self, reason: object, log: Log) -> None:
        """It did not answer."""
        level = Level.WARNING if self._until is None else Level.DEBUG
        log.write(level, f"{self.server}: {reason}: sessions are not kept there for now")
        self._until = self.clock() + REST_SECONDS

    def answered(self, log: Log) -> None:
        """It did."""
        if self._until is not None:
            self._until = None
            log.write(Level.NOTICE, f"{self.server}: it answers again")
