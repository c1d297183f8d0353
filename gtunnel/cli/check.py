"""`gtunnel check`: would this configuration run, and is it safe?"""

import argparse
import sys

from gtunnel.cli import source
from gtunnel.conf.advice import advise
from gtunnel.conf.errors import ConfigError
from gtunnel.conf.settings import Configuration
from gtunnel.errors import GtunnelError

DESCRIPTION = """\
Test a configuration without running it: the file, what it includes, certificates and keys. Nothing is bound,
connected or changed. Then warn about what is unsafe, and say what to do about it.

Exit status: 0 if it would run (with or without warnings), 1 if not.
"""

EXAMPLE = """\
examples:
  gtunnel check
  gtunnel check /etc/stunnel/mail.conf
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `check`."""
    parser = subparsers.add_parser(
        "check",
        help="test a configuration, and warn about what is unsafe in it",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="configuration file (default: the one that would run)")
    parser.set_defaults(func=_check)


def _check(arguments: argparse.Namespace) -> int:
    chosen = source.from_file(arguments.file)
    try:
        configuration = chosen.load()
    except ConfigError as error:
        return _failed(error.problems, chosen.name)
    problems = _compile(configuration)
    if problems:
        return _failed(problems, chosen.name)
    warnings = advise(configuration)
    for warning in warnings:
        print(f"warning: {warning}")
    names = ", ".join(service.name for service in configuration.services)
    count = f"{len(warnings)} warning{'s' * (len(warnings) != 1)}" if warnings else "no warnings"
    print(f"{chosen.name}: would run, with {count}; services: {names}")
    return 0


def _compile(configuration: Configuration) -> list[GtunnelError]:
    from gtunnel.tls import context

    problems: list[GtunnelError] = []
    for service in configuration.services:
        try:
            context.build(service)
        except GtunnelError as error:
            problems.append(GtunnelError(detail=f"{service.place}: Service [{service.name}]: {error}"))
    return problems


def _failed(problems: "list[GtunnelError] | tuple[object, ...]", name: str) -> int:
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    count = f"{len(problems)} error{'s' * (len(problems) != 1)}"
    sys.stderr.write(f"{name}: would not run: {count}\n")
    return 1
