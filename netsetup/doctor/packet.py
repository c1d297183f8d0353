"""A packet as far as it is known, and answers with three values to questions about it.

What is not known of a packet (None), and what is not understood of a rule, is UNKNOWN: it neither holds nor fails.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from netsetup.state import Family


class Truth(enum.Enum):
    """Whether something holds."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __invert__(self) -> "Truth":
        return _INVERTED[self]


_INVERTED = {Truth.YES: Truth.NO, Truth.NO: Truth.YES, Truth.UNKNOWN: Truth.UNKNOWN}


def truth(value: bool | None) -> Truth:
    """None is not known."""
    if value is None:
        return Truth.UNKNOWN
    return Truth.YES if value else Truth.NO


def all_of(values: Iterable[Truth]) -> Truth:
    """Whether all hold: NO wins over UNKNOWN."""
    seen = set(values)
    if Truth.NO in seen:
        return Truth.NO
    return Truth.UNKNOWN if Truth.UNKNOWN in seen else Truth.YES


def any_of(values: Iterable[Truth]) -> Truth:
    """Whether any holds: YES wins over UNKNOWN."""
    return ~all_of(~value for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A TCP packet at a hook. None: not known; an interface "": there is none. `state`: conntrack's word for it.
    `to_here`: its destination is an address of this machine. `rewritten`: its destination was changed by address
    translation. `symmetric`: the way back to its sender leads out by the interface that it came in by."""

    family: Family
    iif: str | None = None
    oif: str | None = None
    source: str | None = None
    destination: str | None = None
    sport: int | None = None
    dport: int | None = None
    state: str = "new"
    syn: bool = True
    mark: int | None = 0
    to_here: bool | None = None
    rewritten: bool = False
    symmetric: bool | None = None

    def __str__(self) -> str:
        parts = [
            f"iif {self.iif}" if self.iif else "",
            f"oif {self.oif}" if self.oif else "",
            f"from {self.source}" if self.source else "",
            f"to {self.destination}" if self.destination else "",
            f"dport {self.dport}" if self.dport else "",
        ]
        return " ".join(["tcp", *filter(None, parts)])
