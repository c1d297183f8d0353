"""`gtunnel run`: the same as `gtunnel FILE`, for those who like subcommands."""

import argparse

from gtunnel.cli import classic, source

DESCRIPTION = """\
Run the services of a configuration: the same as "gtunnel FILE", as stunnel is run.
Whether it goes to the background is the option "foreground" in the file.
"""

EXAMPLE = """\
examples:
  gtunnel run
  gtunnel run /etc/stunnel/mail.conf

signals:
  HUP   read the configuration again       TERM, INT, QUIT   stop
  USR1  reopen the log file                USR2              list the live connections in the log
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `run`."""
    parser = subparsers.add_parser(
        "run",
        help="run the services of a configuration",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="configuration file (default: see gtunnel --help)")
    parser.set_defaults(func=_run)


def _run(arguments: argparse.Namespace) -> int:
    return classic.run_source(source.from_file(arguments.file))
