"""`gtunnel reopen`: let running processes open their log files again, after these were renamed."""

import argparse
import sys

from gtunnel.cli.reload import control_socket, tell_lines

DESCRIPTION = """\
Let the gtunnel that runs this configuration open its log file again, as the signal USR1 does: for the rotation of logs.

Exit status: 0 if it was done, or with --all if it was done wherever somebody answers, 1 if not.
"""

EXAMPLE = """\
examples:
  gtunnel reopen /etc/gtunnel/mail.conf
  gtunnel reopen --all
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `reopen`."""
    parser = subparsers.add_parser(
        "reopen",
        help="let a running gtunnel open its log file again",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="its configuration file (default: see gtunnel --help)")
    parser.add_argument("--all", action="store_true", help="all that have a control socket in the default directory")
    parser.set_defaults(func=_reopen)


def _reopen(arguments: argparse.Namespace) -> int:
    from gtunnel.daemon import control

    everybody = control.RUNTIME_DIRECTORY.glob("*.control")
    paths = sorted(everybody) if arguments.all else [control_socket(arguments.file)]
    status = 0
    for path in paths:
        try:
            answer = control.ask(path, "reopen", control.ANSWER_SECONDS)
        except control.ControlError as error:
            # With --all, what a process that was killed has left is nobody's fault.
            if not arguments.all or not error.nobody:
                sys.stderr.write(f"[!] {error}\n")
                status = 1
            continue
        tell_lines(answer.lines)
        status = status if answer.done else 1
    return status
