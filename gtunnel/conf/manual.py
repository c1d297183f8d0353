"""The table as a reference for people: Markdown, from which the manual page is made as well (`roff`)."""

from collections.abc import Iterable, Iterator
from itertools import chain

from gtunnel.conf.option import Repeated, Row, Scope, Single, Topic
from gtunnel.conf.options_tls import DEFAULT_VERSIONS
from gtunnel.conf.options_verify import NO_DEMAND
from gtunnel.conf.reference import remark, written
from gtunnel.conf.socketoptions import ROWS, Side
from gtunnel.conf.table import TABLE

# What the reader of a file makes of options, or what they are when no line says so, and no text can be derived.
_DEFAULTS: dict[object, str] = {
    NO_DEMAND: "no",
    DEFAULT_VERSIONS: "from TLSv1 to the newest",
}
_PLACES = {
    Scope.GLOBAL: "Global",
    Scope.SERVICE: "Service",
}


def reference() -> str:
    """docs/options.md, but for what stands before the options."""
    return "\n".join(chain.from_iterable(_chapter(topic) for topic in Topic))


def index() -> str:
    """All names, sorted, each leading to its place in the reference."""
    rows = sorted(TABLE, key=lambda row: (row.name.lower(), row.scope.value))
    names = dict.fromkeys(row.name for row in rows)
    return " ".join(f"[{name}](#{_anchor(next(row for row in rows if row.name == name))})" for name in names) + "\n"


def _chapter(topic: Topic) -> Iterator[str]:
    rows = [row for row in TABLE if row.topic is topic]
    if rows:
        yield from (f"### {topic.value}", "")
        for row in sorted(rows, key=lambda row: (row.name.lower(), row.scope.value)):
            yield from _entry(row)


def _entry(row: Row[object]) -> Iterator[str]:
    yield from (f"#### {_heading(row)}", "")
    yield from (f"{row.help[0].upper()}{row.help[1:]}.", "")
    if row.more:
        yield from (row.more, "")
    yield from (" ".join(_facts(row)), "")


def _heading(row: Row[object]) -> str:
    return f"{row.name} = {row.metavar}"


def _anchor(row: Row[object]) -> str:
    """As GitHub makes them of headings."""
    kept = (letter for letter in _heading(row).lower() if letter.isalnum() or letter in " -_")
    return "".join(kept).replace(" ", "-")


def _facts(row: Row[object]) -> Iterator[str]:
    yield f"{_PLACES[row.scope]} option, since {row.since}."
    if isinstance(row, Repeated):
        yield "Lines add up."
    if row.works:
        yield f"Default: {_default(row)}."
    if row.aliases:
        yield f"Also written {_joined(f'`{name}`' for name in row.aliases)}."
    if row.needs:
        yield f"Needs {row.needs}."
    note = remark(row)
    if note:
        yield f"**{note[0].upper()}{note[1:]}.**"


def _default(row: Row[object]) -> str:
    if row.default_text is not None:
        return row.default_text
    if isinstance(row, Repeated):
        return _repeated(row)
    default = row.default if isinstance(row, Single) else None
    if default in _DEFAULTS:
        return _DEFAULTS[default]
    return "none" if default in {None, ""} or isinstance(default, tuple) else written(default)


def _repeated(row: Repeated[object]) -> str:
    if row.name == "socket":
        lines = ((side, option, option.default(side)) for option in ROWS for side in Side)
        return _joined(f"`{side.value}:{option.name}={value}`" for side, option, value in lines if value)
    return "none"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts)
