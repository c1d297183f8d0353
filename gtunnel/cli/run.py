"""`gtunnel run`: the same as `gtunnel FILE`, for those who like subcommands."""

import argparse
from dataclasses import replace

from gtunnel.cli import classic, source
from gtunnel.conf.settings import Configuration, Foreground

DESCRIPTION = """\
Run the services of a configuration: the same as "gtunnel FILE", as stunnel is run.
Whether it goes to the background is the option "foreground" in the file.
"""

EXAMPLE = """\
examples:
  gtunnel run
  gtunnel run /etc/stunnel/mail.conf
  gtunnel run --foreground /etc/stunnel/mail.conf
  gtunnel run --netsetup /etc/gtunnel/gateway.conf     firewall rules and routes come and go with it

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
    parser.add_argument(
        "--foreground", action="store_true", help="stay in the foreground whatever the file says: for service managers"
    )
    parser.add_argument(
        "--netsetup",
        action="store_true",
        help="set the kernel up as `gtunnel netsetup apply` does, for as long as this runs, however it ends",
    )
    parser.set_defaults(func=_run)


def _stay(configuration: Configuration) -> Configuration:
    """With what `foreground = quiet` does, where the file would have it go to the background."""
    output = configuration.output
    if output.foreground is not Foreground.NO:
        return configuration
    return replace(configuration, output=replace(output, foreground=Foreground.QUIET))


def _run(arguments: argparse.Namespace) -> int:
    chosen = source.from_file(arguments.file)
    if arguments.foreground:
        load = chosen.load
        chosen = replace(chosen, load=lambda: _stay(load()))
    if not arguments.netsetup:
        return classic.run_source(chosen)
    # Only here: what talks to the kernel takes time to load.
    from gtunnel.cli import ephemeral

    return classic.run_source(chosen, ephemeral.start())
