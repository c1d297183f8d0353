"""Reading access logs as docs/diagnostics.md says that they are to be read."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.daemon import PATIENCE

_FIELD = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]+)(?: |$)')


def parse(line: str) -> dict[str, str | None]:
    """The fields of a line; None where there is nothing. Fails on anything that is no line."""
    fields: dict[str, str | None] = {}
    position = 0
    while position < len(line):
        found = _FIELD.match(line, position)
        assert found is not None, f"no field at {position}: {line!r}"
        key, value = found.groups()
        assert key not in fields, line
        fields[key] = json.loads(value) if value.startswith('"') else None if value == "-" else value
        position = found.end()
    return fields


def read(file: Path) -> list[dict[str, str | None]]:
    """All lines of a file."""
    return [parse(line) for line in file.read_text().splitlines()] if file.exists() else []


def wait_for(file: Path, count: int) -> list[dict[str, str | None]]:
    """Wait until there are so many lines."""
    return until(lambda: read(file), lambda lines: len(lines) >= count)


def until(look: Callable[[], list[dict[str, str | None]]], enough: Callable[..., bool]) -> list[dict[str, str | None]]:
    """Look until it is enough."""
    deadline = time.monotonic() + PATIENCE
    while not enough(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found
