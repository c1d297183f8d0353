"""`gtunnel lab demo MODE`: a lab of its own, one connection in it, and who saw which addresses."""

import argparse
import os

from gtunnel.cli.stage import own_lab, perform, say, stage
from gtunnel.demo import modes
from gtunnel.demo.errors import DemoError

LAB = "gtunnel-lab-demo"

DESCRIPTION = """\
Show a transparent mode with real connections, IPv4 and IPv6, in a lab of its own: what the client thinks, what gtunnel
sees, what the server sees. Everything is removed in the end, also after Ctrl-C.
"""
EXAMPLE = """\
modes:
  source         clients connect to gtunnel; the server sees their address
  destination    clients connect to the server; gtunnel takes that, and goes on there from its own address
  both           clients connect to the server; gtunnel goes on there from theirs

example:
  gtunnel lab demo both --method redirect
"""


class NoMethodError(DemoError):
    """`--method` is about capturing."""

    template = "--method is for destination and both: with source, clients connect to gtunnel, and nothing is captured"


class ObstacleError(DemoError):
    """Something is missing on this machine. Fields: reason."""

    template = "{reason}"


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `demo` to the commands of `lab`."""
    parser = commands.add_parser(
        "demo",
        help="show what each side sees of a transparent connection",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("mode", metavar="MODE", choices=modes.MODES, help=f"one of {', '.join(modes.MODES)}")
    parser.add_argument("--method", choices=modes.METHODS, help=f"how to capture (default: {modes.METHODS[0]})")
    parser.add_argument(
        "--backend", choices=modes.BACKENDS, default="auto", help="what writes the rules (default: %(default)s)"
    )
    parser.add_argument("--name", default=LAB, help="the lab's name (default: %(default)s)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Show it. Exit status 0 if it went as shown."""
    return perform("gtunnel lab demo", lambda: _show(args))


def _show(args: argparse.Namespace) -> None:
    scene = _scene(args)
    reason = "only root can make a lab" if os.geteuid() != 0 else modes.obstacle()
    if reason is not None:
        raise ObstacleError(reason=reason)
    with stage() as (between, directory), own_lab(args.name) as lab:
        modes.show(between, directory, lab, scene)
    say("\nEverything is removed again.")


def _scene(args: argparse.Namespace) -> modes.Scene:
    if args.mode != "source":
        return modes.Scene(mode=args.mode, method=args.method or modes.METHODS[0], backend=args.backend)
    if args.method is not None:
        raise NoMethodError
    return modes.Scene(mode=args.mode, method=None, backend=args.backend)
