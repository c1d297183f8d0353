"""The table as text: what `gtunnel -help`, `-version` and `-sockets` print, in stunnel's layout."""

from collections.abc import Callable
from enum import Enum

from gtunnel.conf import socketoptions
from gtunnel.conf.option import NOT_YET, Row, Scope
from gtunnel.conf.options_tls import OPTIONS_LINE
from gtunnel.conf.socketoptions import SocketOptionRow
from gtunnel.conf.table import TABLE

TITLES = {Scope.GLOBAL: "Global options:", Scope.SERVICE: "Service-level options:"}
# The longest name, protocolAuthentication, has 22 letters; stunnel's listings are as wide.
NAME_WIDTH = 22


def help_lines() -> tuple[str, ...]:
    """Each option with its values and its purpose, and what does not work yet."""
    return _listing(_help)


def default_lines() -> tuple[str, ...]:
    """The defaults that are more than "off"."""
    return _listing(_defaults)


def socket_rows() -> tuple[SocketOptionRow, ...]:
    """The socket options in the order of `-sockets`: name, kind of value, and defaults (`accept`, `local`, `remote`).

    The operating system's default is the caller's to ask for (getsockopt(2) on a new socket);
    `socketoptions.render` turns the answer into text.
    """
    return socketoptions.ROWS


def remark(row: Row[object]) -> str:
    """What to know before using an option: "" if it simply works."""
    if row.ignored:
        return f"ignored: {row.ignored}"
    if row.works_for is None:
        return ""
    if row.works_for:
        values = " or ".join(written(value) for value in row.works_for)
        return f"only {values} yet"
    return "not yet" if row.refusal == NOT_YET else f"refused: {row.refusal}"


def _listing(lines_of: Callable[[Row[object]], list[str]]) -> tuple[str, ...]:
    parts = [[TITLES[scope], *_rows(scope, lines_of)] for scope in Scope]
    return (*parts[0], "", *parts[1])


def _rows(scope: Scope, lines_of: Callable[[Row[object]], list[str]]) -> list[str]:
    return [line for row in TABLE if row.scope is scope for line in lines_of(row)]


def _help(row: Row[object]) -> list[str]:
    note = remark(row)
    text = f"{row.name:<{NAME_WIDTH}} = {row.metavar} {row.help}"
    return [text, f"{'':<{NAME_WIDTH}}   ({note})"] if note else [text]


def _defaults(row: Row[object]) -> list[str]:
    if row is OPTIONS_LINE:
        return [f"{row.name:<{NAME_WIDTH}} = {'' if on else '-'}{name}" for name, on in OPTIONS_LINE.default]
    return [] if row.default_text is None else [f"{row.name:<{NAME_WIDTH}} = {row.default_text}"]


def written(value: object) -> str:
    """A value as it would be written in a file."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    return f"{value:g}" if isinstance(value, float) else str(value)
