"""The `gtunnel` command: stunnel's own command line, and subcommands beside it."""

import argparse
import importlib
import sys
from typing import NoReturn

from gtunnel.cli import classic
from gtunnel.cli.source import DEFAULT_FILES
from gtunnel.errors import GtunnelError
from gtunnel.version import VERSION

SUBCOMMANDS = ("run", "check", "netsetup", "lab", "demo")

DESCRIPTION = f"""\
A TLS tunnel and transparent proxy that reads stunnel.conf.

usage as stunnel:  gtunnel [FILE] | -fd N | -help | -version | -sockets | -options
  FILE      run this configuration (default: {DEFAULT_FILES[0]}, else {DEFAULT_FILES[1]})
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
"""


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run a command line; returns the exit status."""
    try:
        if arguments and arguments[0] in (*SUBCOMMANDS, "-h", "--help", "--version"):
            return _subcommand(arguments)
        return classic.run(arguments)
    except GtunnelError as error:
        sys.stderr.write(f"[!] {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output (head, a pager) has seen enough.
        sys.stderr.close()
        return 1


def _subcommand(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="gtunnel",
        usage="gtunnel [FILE] | gtunnel COMMAND …",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gtunnel {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted = arguments[0] if arguments[0] in SUBCOMMANDS else None
    for name in SUBCOMMANDS:
        # Only what is asked for is loaded: the kernel's side takes longer to import than a check takes to run.
        if wanted in (None, name):
            importlib.import_module(f"gtunnel.cli.{name}").add_parser(commands)
    parsed = parser.parse_args(arguments)
    status: int = parsed.func(parsed)
    return status
