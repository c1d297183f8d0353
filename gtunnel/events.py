"""Log levels and the interface through which everything logs. Plain values; the sinks are in `daemon`.

The wording of events that people's log filters match is stunnel's and part of the interface; it stands where the
event happens, and tests/integration compares it with stunnel4's.
"""

from enum import IntEnum
from typing import Protocol


class Level(IntEnum):
    """syslog's levels; the number is the one in `LOG5[…]` (manual, option `debug`)."""

    EMERG = 0
    ALERT = 1
    CRIT = 2
    ERR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


class Log(Protocol):
    """Where one connection, service or process writes its lines."""

    @property
    def threshold(self) -> Level:
        """The least urgent level that is written. Test it before building an expensive message."""

    def write(self, level: Level, message: str) -> None:
        """Write one line, if `level` is at or above the threshold. Never raises; control characters are escaped."""

    def named(self, identifier: str) -> "Log":
        """The same log with another text in the brackets of `LOG5[…]`."""


class SilentLog:
    """Drops everything: the log of a check run, or of a test that does not look at it."""

    threshold = Level.EMERG

    def write(self, level: Level, message: str) -> None:
        """Drop the line."""

    def named(self, identifier: str) -> Log:  # noqa: ARG002
        """Itself: there is nothing to name."""
        return self
