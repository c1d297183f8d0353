"""Short visits by `openssl s_client`, with or without a session of an earlier one: where it came, and how.

Backends say who they are (`backend`), so that a visit tells which one it reached.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import peers
from tests.support.servers import Handler, source

NO_NAME = ("-noservername",)


def backend(name: str) -> Handler:
    """A server that says its name and closes."""
    return source(f"reached:{name}\n".encode())


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one. `reached`: the backend's name, empty if none. `subject`: whose certificate was shown."""

    reached: str
    resumed: bool
    version: str
    subject: str
    output: str = field(repr=False)


def visit(port: int, *options: str, name: str | None = None, session: Path | None = None) -> Visit:
    """Connect, read until the server closes. `session` is offered if the file is there, and then replaced."""
    more: tuple[str, ...] = NO_NAME if name is None else ("-servername", name)
    if session is not None:
        more += ("-sess_out", str(session))
        more += ("-sess_in", str(session)) if session.exists() else ()
    done = peers.s_client(port, *more, *options)
    text = (done.stdout + done.stderr).decode(errors="replace")
    found = re.search(r"^(New|Reused), (TLSv[0-9.]+)", text, re.MULTILINE)
    reached = re.search(r"reached:(\w+)", text)
    subject = re.search(r"^subject=.*?CN ?= ?(\S+)", text, re.MULTILINE)
    return Visit(
        reached=reached[1] if reached else "",
        resumed=found is not None and found[1] == "Reused",
        version=found[2] if found else "",
        subject=subject[1] if subject else "",
        output=text,
    )
