"""`gtunnel status`: how the running process is: services, workers, connections."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from gtunnel.cli import source
from gtunnel.cli.reload import tell_lines
from gtunnel.conf.load import control_of
from gtunnel.conf.options_global import AUTOMATIC
from gtunnel.daemon import control
from gtunnel.errors import UsageError

DESCRIPTION = """\
Say how the gtunnel that runs this configuration is: version, services and where they accept, workers, connections by
service and by client. Root may, the user of setuid, and the members of the group that the option controlGroup names.

Exit status: 0 if it answers, 1 if not.
"""

EXAMPLE = """\
examples:
  gtunnel status
  gtunnel status --connections /etc/stunnel/mail.conf
  gtunnel status --json | jq '.connections.by_service'
"""

# A reload that is under way is waited for; it takes seconds.
SECONDS: Final = 30.0
# Clients that are shown; --json has more.
TOP: Final = 10
_NOTHING: Final = "-"

Facts = dict[str, Any]


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `status`."""
    parser = subparsers.add_parser(
        "status",
        help="show services, workers and connections of a running gtunnel",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="its configuration file (default: see gtunnel --help)")
    parser.add_argument("--connections", action="store_true", help="list the live connections, oldest first")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--control", metavar="PATH", type=Path, help="its control socket, if FILE does not tell")
    parser.set_defaults(func=_status)


def _status(arguments: argparse.Namespace) -> int:
    places = (arguments.control,) if arguments.control is not None else _places(arguments.file)
    facts = _asked(places, "connections" if arguments.connections else "status")
    if facts is None:
        return 1
    try:
        # What does not fit what we know is another version's; programs may know more.
        lines = [json.dumps(facts, indent=2)] if arguments.json else [_printable(line) for line in _lines(facts)]
    except (KeyError, TypeError, ValueError, AttributeError):
        sys.stderr.write("[!] The running gtunnel answers in a way that this one does not understand: try --json\n")
        return 1
    for line in lines:
        print(line)
    return 0


def _places(file: str | None) -> tuple[Path, ...]:
    """Where it may listen. Raises `UsageError` where there can be none."""
    chosen = source.from_file(file)
    # A file that we may not read is no hindrance: its name is enough unless it says otherwise.
    wanted = control_of(str(chosen.path))
    if wanted is None:
        raise UsageError(detail=f"{chosen.name}: there is no control socket: set control")
    return control.default_places(str(chosen.path)) if wanted == AUTOMATIC else (Path(wanted),)


def _asked(places: tuple[Path, ...], word: str) -> Facts | None:
    """The facts, from the first of the places where somebody answers; None if he says no, which is told. Raises
    `ControlError`."""
    problem: control.ControlError | None = None
    for place in places:
        try:
            answer = _ask(place, word)
        except control.ControlError as error:
            if problem is None or problem.nobody:
                problem = error
            continue
        if answer.facts is None:
            tell_lines(answer.lines)
            sys.stderr.write("[!] The running gtunnel does not tell\n")
        return answer.facts
    if problem is None:
        raise ValueError("no place to ask at")
    raise problem


def _ask(place: Path, word: str) -> control.Answer:

    try:
        return control.ask(place, word, SECONDS)
    except control.ControlError as error:
        if not error.denied:
            raise
        try:
            return control.ask(control.public_path(place), word, SECONDS)
        except control.ControlError as second:
            # Without controlGroup there is nobody to ask there: what was denied is what is wrong.
            raise (error if second.nobody else second) from second


def _lines(facts: Facts) -> Iterator[str]:
    yield f"gtunnel {facts['version']}, process {facts['pid']}, up {_span(facts['uptime'])} (since {facts['started']})"
    yield f"configuration: {facts['configuration']}, generation {facts['generation']}"
    yield from _reload_lines(facts["last_reload"])
    yield ""
    yield from _table(
        ("service", "mode", "accepts on", "connections"),
        [(one["name"], _mode(one), _accepts(one), str(one["connections"])) for one in facts["services"]],
    )
    yield ""
    yield from _table(
        ("worker", "state", "generation", "up", "connections", "accepted"), [_worker(one) for one in facts["workers"]]
    )
    yield ""
    yield from _connection_lines(facts)
    if "list" in facts:
        yield ""
        yield from _list_lines(facts["list"])


def _reload_lines(renewal: Facts | None) -> Iterator[str]:
    if renewal is None:
        yield "last reload: none"
        return
    cause = "changed files" if renewal["cause"] == "files" else "the configuration"
    outcome = "done" if renewal["done"] else "FAILED, the old one goes on"
    yield f"last reload: {renewal['time']}, of {cause}: {outcome}"
    for line in renewal["lines"]:
        yield f"  {line}"


def _mode(service: Facts) -> str:
    transparent = "" if service["transparent"] == "none" else f", transparent {service['transparent']}"
    return ("client" if service["client"] else "server") + transparent


def _accepts(service: Facts) -> str:
    if service["accept"]:
        return ", ".join(service["accept"])
    return f"names of {', '.join(service['names_of'])}" if service["names_of"] else _NOTHING


def _worker(worker: Facts) -> tuple[str, ...]:
    state = worker["state"] if worker["answers"] else f"{worker['state']}, NOT ANSWERING"
    counts = ("?" if worker[key] is None else str(worker[key]) for key in ("connections", "accepted"))
    return (str(worker["pid"]), state, str(worker["generation"]), _span(worker["uptime"]), *counts)


def _connection_lines(facts: Facts) -> Iterator[str]:
    counted = facts["connections"]
    silent = sum(not worker["answers"] for worker in facts["workers"])
    without = f", without those of {silent} worker(s) that do not answer" if silent else ""
    yield f"connections: {counted['total']}{without}"
    if not counted["total"]:
        return
    yield from _table(("service", "connections"), [(name, str(n)) for name, n in counted["by_service"].items()])
    clients = counted["by_client"]
    number = "many" if counted["clients"] is None else str(counted["clients"])
    yield ""
    title = f"client (of {number})" if len(clients) <= TOP else f"client (the first {TOP} of {number})"
    yield from _table((title, "connections"), [(one["client"], str(one["connections"])) for one in clients[:TOP]])


def _list_lines(listed: Facts) -> Iterator[str]:
    rows = [
        (
            one["id"],
            one["service"],
            one["client"],
            *(one[key] or _NOTHING for key in ("destination", "target", "tls")),
            f"{one['to_target']}/{one['to_client']}",
            _span(one["age"]),
        )
        for one in listed["connections"]
    ]
    heads = ("id", "service", "client", "destination", "target", "tls", "bytes to target/client", "age")
    yield from _table(heads, rows)
    if listed["shown"] < listed["of"]:
        yield f"(the oldest {listed['shown']} of {listed['of']})"


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as they have to be."""
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()


def _span(seconds: float) -> str:
    """A time in two units, as `3d 4h`; below a minute in seconds."""
    whole = int(seconds)
    for size, unit, small, less in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size}{unit} {whole % size // small}{less}"
    return f"{whole}s"


def _printable(line: str) -> str:
    """Names are what peers and files say: nothing in them drives the terminal."""
    return "".join(c if c.isprintable() else "?" for c in line)
