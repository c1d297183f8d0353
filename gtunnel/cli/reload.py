"""`gtunnel reload`: let the running process read its configuration again, and say what came of it."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from gtunnel.cli import source
from gtunnel.conf.load import control_of
from gtunnel.conf.options_global import AUTOMATIC
from gtunnel.errors import UsageError

DESCRIPTION = """\
Let the gtunnel that runs this configuration read it again. What is wrong with it leaves everything as it was; live
connections go on as they are in any case. With --wait the command ends when the new configuration runs, or says why it
does not; without, it does not wait for that.

Exit status: 0 if it was done (without --wait: asked for), 1 if not.
"""

MAX_SECONDS: Final = 86400.0

EXAMPLE = """\
examples:
  gtunnel reload --wait
  gtunnel reload --wait /etc/stunnel/mail.conf
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `reload`."""
    parser = subparsers.add_parser(
        "reload",
        help="let a running gtunnel read its configuration again",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="its configuration file (default: see gtunnel --help)")
    parser.add_argument("--wait", action="store_true", help="until it is done")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, help="how long to wait at most (default: 90)")
    parser.add_argument("--control", metavar="PATH", type=Path, help="its control socket, if FILE does not tell")
    parser.set_defaults(func=_reload)


def _reload(arguments: argparse.Namespace) -> int:
    from gtunnel.daemon import control

    # Neither 0, which would not wait at all, nor more than a socket can.
    seconds = control.ANSWER_SECONDS if arguments.timeout is None else min(max(0.01, arguments.timeout), MAX_SECONDS)
    path = arguments.control or control_socket(arguments.file)
    if not arguments.wait:
        control.tell(path, "reload")
        return 0
    answer = control.ask(path, "reload", seconds)
    tell_lines(answer.lines)
    sys.stderr.write("Reloaded\n" if answer.done else "Not reloaded: the old configuration goes on\n")
    return 0 if answer.done else 1


def tell_lines(lines: Iterable[str]) -> None:
    """What a running process has said: it need not be what we take it for, so nothing drives the terminal."""
    for line in lines:
        sys.stderr.write("".join(c if c.isprintable() else "?" for c in line) + "\n")


def control_socket(file: str | None) -> Path:
    """The control socket of who runs a configuration. Raises `UsageError` where there can be none."""
    from gtunnel.daemon.control import default_path

    chosen = source.from_file(file)
    # With mistakes in it, it is the running process that tells of them.
    wanted = control_of(str(chosen.path))
    path = default_path(str(chosen.path)) if wanted == AUTOMATIC else None if wanted is None else Path(wanted)
    if path is None:
        raise UsageError(detail=f"{chosen.name}: there is no control socket: send SIGHUP, or set control")
    return path
