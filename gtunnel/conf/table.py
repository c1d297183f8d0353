"""The one table of all options, and looking options up in it."""

from gtunnel.conf import (
    options_access,
    options_capture,
    options_global,
    options_ignored,
    options_library,
    options_net,
    options_ocsp,
    options_program,
    options_protocol,
    options_proxy,
    options_refused,
    options_service,
    options_sessions,
    options_socks,
    options_tls,
    options_verify,
    similar,
)
from gtunnel.conf.option import Repeated, Row, Scope, Topic
from gtunnel.conf.parsers import path

# A directive: the reader follows it and it leaves no value. It may stand anywhere, so each scope has its row.
INCLUDE = tuple(
    Repeated(
        name="include",
        scope=scope,
        parse=path,
        metavar="DIRECTORY",
        help="read all files of this directory here, in the order of their names",
        topic=Topic.PROCESS,
        more=(
            "All regular files count, hidden ones and back-up copies of editors too; subdirectories do not. Sections "
            "in them are as if they stood here, so what follows this line belongs to the last of them."
        ),
    )
    for scope in Scope
)

TABLE: tuple[Row[object], ...] = tuple(
    sorted(
        (
            *options_access.OPTIONS,
            *options_global.OPTIONS,
            *options_library.OPTIONS,
            *options_net.OPTIONS,
            *options_program.OPTIONS,
            *options_protocol.OPTIONS,
            *options_proxy.OPTIONS,
            *options_service.OPTIONS,
            *options_sessions.OPTIONS,
            *options_socks.OPTIONS,
            *options_tls.OPTIONS,
            *options_verify.OPTIONS,
            *options_ocsp.OPTIONS,
            *options_capture.OPTIONS,
            *options_refused.OPTIONS,
            *options_ignored.OPTIONS,
            *INCLUDE,
        ),
        key=lambda row: (row.scope.value, row.name.lower()),
    )
)

_ROWS: dict[Scope, dict[str, Row[object]]] = {
    scope: {name.lower(): row for row in TABLE if row.scope is scope for name in row.names} for scope in Scope
}
_SPELLINGS = {name.lower(): name for row in TABLE for name in row.names}


def find(name: str, in_section: bool) -> Row[object] | None:
    """The row of an option where it stands, names in any case; None if there is no such option here.

    Before the first section an option is the process' own, if it has a row as such; else a default for all services.
    """
    if in_section:
        return _ROWS[Scope.SERVICE].get(name.lower())
    return _ROWS[Scope.GLOBAL].get(name.lower()) or _ROWS[Scope.SERVICE].get(name.lower())


def nearest(name: str) -> str | None:
    """The option that a misspelt name was perhaps meant to be; None if nothing is near."""
    return similar.nearest(name, _SPELLINGS.values())


def is_secret(name: str) -> bool:
    """Whether values of an option, or of what it was perhaps meant to be, stay out of messages."""
    known = _SPELLINGS.get(name.lower())
    meant = known or nearest(name) or ""
    rows = (scope_rows.get(meant.lower()) for scope_rows in _ROWS.values())
    suspicious = any(word in name.lower() for word in ("pass", "secret", "psk", "pin", "token"))
    return (suspicious and known is None) or any(row is not None and row.secret for row in rows)
