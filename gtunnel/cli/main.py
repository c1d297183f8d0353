"""The `gtunnel` command: stunnel's own command line, and subcommands beside it."""

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from gtunnel.errors import GtunnelError
from gtunnel.version import VERSION

ARGPARSE_USAGE = 2
SUBCOMMANDS = ("run", "reload", "reopen", "status", "check", "netsetup", "lab", "demo")

DESCRIPTION = """\
A TLS tunnel and transparent proxy that reads stunnel.conf.

usage as stunnel:  gtunnel [FILE] | -fd N | -help | -version | -sockets | -options
  FILE      run this configuration (default: {0}, else {1})
  -fd N     read the configuration from file descriptor N
  -help     list all options of the configuration file, and which do not work yet
  -version  show versions and defaults
  -sockets  show the defaults of socket options
  -options  list what "options = " takes
"""

EPILOG = """\
first steps:
  gtunnel demo                     see it work, without a configuration
  gtunnel check mail.conf          is this file right, and safe?
  gtunnel mail.conf                run it
  gtunnel reload --wait mail.conf  let it take up changes
  gtunnel status mail.conf         how is it?
"""


def entry() -> NoReturn:
    """The console script."""
    finish(main)


def finish(run: Callable[[list[str]], int]) -> NoReturn:
    """Be a console script: run a command line, and see that what it says is said."""
    _occupy_standard_descriptors()
    try:
        status = run(sys.argv[1:])
    except SystemExit as end:  # argparse's way out: its help and its complaints are on their way like all else
        status = _status(end)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        status = _unheard()
    except OSError as error:
        # A full disk: half of an answer is none.
        status = _unheard(f"[!] standard output: {error.strerror}\n")
    sys.exit(status)


def main(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    return guarded(_run, arguments)


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command line, and say in a line what it fails with."""
    try:
        return run(arguments)
    except GtunnelError as error:
        sys.stderr.write(f"[!] {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return _unheard()


def _run(arguments: list[str]) -> int:
    if arguments and arguments[0] in (*SUBCOMMANDS, "-h", "--help", "--version"):
        return _subcommand(arguments)
    # What is loaded stays: looking through it again and again for what is not needed takes a tenth of a start.
    gc.disable()
    # Here, not at the top: Ctrl-C while it is being loaded ends as quietly as later.
    from gtunnel.cli import classic

    return classic.run(arguments)


def _occupy_standard_descriptors() -> None:
    """Open those that our parent has closed: a listening socket would get the number, and a daemon lets go of it."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _unheard(complaint: str = "") -> int:
    """The reader of our output (head, a pager) has seen enough: what is left of it goes nowhere, without complaint."""
    with contextlib.suppress(OSError):
        os.write(2, complaint.encode())
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        for number in (1, 2):
            os.dup2(nowhere.fileno(), number)
    return 1


def _status(end: SystemExit) -> int:
    # argparse's 2 for a wrong command line is "drift" in `netsetup status`; stunnel's is 1.
    return 1 if end.code == ARGPARSE_USAGE else int(end.code or 0)


def _subcommand(arguments: list[str]) -> int:
    import argparse

    from gtunnel.cli.source import DEFAULT_FILES

    parser = argparse.ArgumentParser(
        prog="gtunnel",
        usage="gtunnel [FILE] | gtunnel COMMAND …",
        description=DESCRIPTION.format(*DEFAULT_FILES),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gtunnel {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, prog="gtunnel")
    wanted = arguments[0] if arguments[0] in SUBCOMMANDS else None
    for name in SUBCOMMANDS:
        # Only what is asked for is loaded: the kernel's side takes longer to import than a check takes to run.
        if wanted in (None, name):
            importlib.import_module(f"gtunnel.cli.{name}").add_parser(commands)
    parsed = parser.parse_args(arguments)
    status: int = parsed.func(parsed)
    return status
