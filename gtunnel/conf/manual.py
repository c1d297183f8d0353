"""The table as a reference for people, in Markdown: docs/options.md, and the part of a manual page that `roff` makes
of it."""

from collections.abc import Iterable, Iterator
from itertools import chain

from gtunnel.conf.option import Repeated, Row, Scope, Single, Topic
from gtunnel.conf.options_tls import DEFAULT_VERSIONS
from gtunnel.conf.options_verify import NO_DEMAND
from gtunnel.conf.reference import remark, written
from gtunnel.conf.socketoptions import ROWS, Side
from gtunnel.conf.table import INCLUDE, TABLE
from gtunnel.values import dataclass

# Defaults that are no value that could be written.
_DEFAULTS: dict[object, str] = {NO_DEMAND: "no", DEFAULT_VERSIONS: "from `TLSv1` to the newest"}


@dataclass(frozen=True, slots=True)
class _Entry:
    """An option; `title` tells the two of a name apart that are options of the process and of services."""

    row: Row[object]
    title: str
    scopes: tuple[Scope, ...]


def for_reading() -> str:
    """The reference with an index that leads into it: chapters are `##`, options `###`."""
    index = " ".join(f"[{entry.title}](#{_anchor(entry.title)})" for entry in _sorted(_entries(tuple(Topic))))
    return "\n".join((index, "", *_chapters("##", long=True)))


def for_page() -> str:
    """The reference for a manual page: chapters are `###`, options `####` with what stands behind their names."""
    return "\n".join(_chapters("###", long=False))


def _chapters(mark: str, *, long: bool) -> Iterator[str]:
    for topic in Topic:
        entries = _sorted(_entries((topic,)))
        if entries:
            yield from (f"{mark} {topic.value}", "")
            yield from chain.from_iterable(_lines(entry, mark, long=long) for entry in entries)


def _entries(topics: tuple[Topic, ...]) -> Iterator[_Entry]:
    for row in TABLE:
        twins = [other for other in TABLE if other.name == row.name]
        if row.topic not in topics or (row in INCLUDE and row is not INCLUDE[0]):
            continue
        if row in INCLUDE or len(twins) == 1:
            yield _Entry(row, row.name, tuple(twin.scope for twin in twins))
        else:
            yield _Entry(row, f"{row.name} ({row.scope.value})", (row.scope,))


def _sorted(entries: Iterable[_Entry]) -> list[_Entry]:
    return sorted(entries, key=lambda entry: entry.title.lower())


def _lines(entry: _Entry, mark: str, *, long: bool) -> Iterator[str]:
    row = entry.row
    usage = f"{row.name} = {row.metavar}"
    summary = f"{row.help[0].upper()}{row.help[1:]}."
    if long:
        yield from (f"{mark}# {entry.title}", "", f"`{usage}`", "")
    else:
        yield from (f"{mark}# {usage}", "")
    yield from (summary, "")
    if row.more:
        yield from (row.more, "")
    yield from (" ".join(_facts(entry)), "")


def _anchor(title: str) -> str:
    """As code hosts make them of headings."""
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")


def _facts(entry: _Entry) -> Iterator[str]:
    row = entry.row
    where = " and ".join(scope.value for scope in entry.scopes).capitalize()
    yield f"{where} option, since {row.since}."
    if isinstance(row, Repeated):
        yield "Lines add up."
    if row.works and row not in INCLUDE:
        yield f"Default: {_default(row)}."
    if row.aliases:
        yield f"Also written {_joined(row.aliases)}."
    if row.needs:
        yield f"Needs {row.needs}."
    note = remark(row)
    if note:
        yield f"**{note[0].upper()}{note[1:]}.**"


def _default(row: Row[object]) -> str:
    if row.default_text is not None:
        return row.default_text
    if isinstance(row, Repeated):
        return _of_sockets() if row.name == "socket" else "none"
    default = row.default if isinstance(row, Single) else None
    if default in _DEFAULTS:
        return _DEFAULTS[default]
    return "none" if default is None or default == "" or isinstance(default, tuple) else written(default)


def _of_sockets() -> str:
    lines = ((side, option, option.default(side)) for option in ROWS for side in Side)
    return _joined(f"{side.value}:{option.name}={value}" for side, option, value in lines if value)


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(f"`{part}`" for part in parts)
