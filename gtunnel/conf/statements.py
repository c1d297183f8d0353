"""The statements that hold for the process or for one service, and reading typed values out of them."""

from collections.abc import Iterator, Sequence
from typing import TypeVar, cast

from gtunnel.conf.option import Repeated, Row, Single
from gtunnel.conf.settings import Lines, OptionLine, Place
from gtunnel.values import dataclass

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Statement:
    """One option's line."""

    row: Row[object]
    value: object
    place: Place
    text: str


class Statements:
    """Statements in the order that they take effect: inherited ones (the defaults for all services) first.

    The inherited part is shared, not copied: many defaults times many services must not add up.
    """

    def __init__(self, own: Sequence[Statement], inherited: "Statements | None" = None) -> None:
        self._inherited = inherited
        self.lines: Lines = Lines(
            tuple(OptionLine(line.row.name, line.value, line.place, line.text) for line in own),
            None if inherited is None else inherited.lines,
        )
        self._own: dict[int, list[tuple[int, Statement]]] = {}
        for number, statement in enumerate(own):
            self._own.setdefault(id(statement.row), []).append((number, statement))

    def one(self, option: Single[T]) -> T:
        """The value of an option: the last line's, or the default."""
        last = self.last(option)
        return option.default if last is None else cast("T", last.value)

    def all(self, option: Repeated[T]) -> tuple[T, ...]:
        """The values of a repeated option: its default, then every line."""
        return (*option.default, *(cast("T", statement.value) for statement in self.of(option)))

    def of(self, *options: Row[object]) -> Iterator[Statement]:
        """The lines of some options, in order."""
        if self._inherited is not None:
            yield from self._inherited.of(*options)
        numbered = [entry for option in options for entry in self._own.get(id(option), ())]
        yield from (statement for _, statement in sorted(numbered, key=lambda entry: entry[0]))

    def own(self, *options: Row[object]) -> Statement | None:
        """The last line of some options that is not inherited; None if there is none."""
        lines = [self._own[id(option)][-1] for option in options if id(option) in self._own]
        return max(lines, key=lambda entry: entry[0])[1] if lines else None

    def last(self, *options: Row[object]) -> Statement | None:
        """The line of some options that counts last; None if there is none."""
        found = self.own(*options)
        return self._inherited.last(*options) if found is None and self._inherited is not None else found
