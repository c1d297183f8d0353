"""`gtunnel demo`: the main job, shown on this machine, without anything to prepare."""

import argparse
import os
import time
from pathlib import Path

from gtunnel.cli.stage import command, except_for, own_lab, perform, say, stage
from gtunnel.demo import gateway, tunnel

LAB = "gtunnel-demo"

DESCRIPTION = """\
Show what gtunnel does, on this machine, in a few seconds.

As any user: a TLS tunnel from end to end, with a certificate made for the occasion.
As root, in addition: a transparent gateway between two hosts in network namespaces, IPv4 and IPv6.

Everything is removed in the end, also when something fails.
"""
EXAMPLE = """\
example:
  gtunnel demo --keep demo     leaves configuration, certificates and logs in ./demo
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `demo`."""
    parser = subparsers.add_parser(
        "demo",
        help="show what gtunnel does, on this machine",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--keep", metavar="DIR", type=Path, help="keep configuration, certificates and logs there")
    parser.add_argument("--name", default=LAB, help="the name of the lab that root gets (default: %(default)s)")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Show both parts. Exit status 0 if all that could be shown went well."""
    return perform("gtunnel demo", lambda: _show_and_tell(args.keep, args.name), args.keep)


def _show_and_tell(keep: Path | None, name: str) -> None:
    began = time.monotonic()
    _show(keep, name)
    say(f"\nDone in {time.monotonic() - began:.1f} seconds; everything is removed again{except_for(keep)}.\n")
    _say_what_next(keep)


def _show(keep: Path | None, name: str) -> None:
    with stage(keep) as (say, directory):
        say("1. A TLS tunnel, from end to end\n")
        tunnel.show(say, directory)
        say("\n2. A transparent gateway\n")
        if os.geteuid() != 0:
            say("   Only root can set up a gateway: sudo " + command() + " demo")
            return
        reason = gateway.obstacle()
        if reason is not None:
            say(f"   Not shown: {reason}")
            return
        with own_lab(name) as lab:
            gateway.show(say, directory, lab)


def _say_what_next(kept: Path | None) -> None:
    name = command()
    say("Go on:")
    if kept is None:
        say(f"  {name} demo --keep DIR    leave configuration and certificates there, to look at and to try")
    else:
        say(f"  {name} check {kept}/tunnel.conf")
    say(f"  {name} check FILE         test a configuration: stunnel's are understood as they are")
    say(f"  {name} FILE               run it")
    say(f"  {name} lab up             the three hosts, to try things on (root)")
    say(f"  {name} lab demo MODE      what each side sees: source, destination, both (root)")
