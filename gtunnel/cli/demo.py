"""`gtunnel demo`: the main job, shown on this machine, without anything to prepare."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from gtunnel.demo import gateway, tunnel
from gtunnel.demo.errors import DemoError
from netsetup.lab import Lab, LabError

LAB = "gtunnel-demo"
INTERRUPTED = 130

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
    began = time.monotonic()
    try:
        with _termination_as_exit(), _directory(args.keep) as directory:
            print("1. A TLS tunnel, from end to end\n")
            tunnel.show(_say, directory)
            print("\n2. A transparent gateway\n")
            _show_gateway(directory, args.name)
    except (DemoError, LabError) as error:
        print(f"\ngtunnel demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Everything is removed.", file=sys.stderr)
        return INTERRUPTED
    print(f"\nDone in {time.monotonic() - began:.1f} seconds; everything is removed again.\n")
    _say_what_next(args.keep)
    return 0


def _show_gateway(directory: Path, name: str) -> None:
    if os.geteuid() != 0:
        print("   Only root can set up a gateway: sudo " + _command() + " demo")
        return
    reason = gateway.obstacle()
    if reason is not None:
        print(f"   Not shown: {reason}")
        return
    lab = Lab(name)
    with lab:
        gateway.show(_say, directory, lab)


def _say(line: str) -> None:
    # At once: whoever watches a pipe sees where it is.
    print(line, flush=True)


def _say_what_next(kept: Path | None) -> None:
    command = _command()
    print("Go on:")
    if kept is None:
        print(f"  {command} demo --keep DIR    leave configuration and certificates there, to look at and to try")
    else:
        print(f"  {command} check {kept}/tunnel.conf")
    print(f"  {command} check FILE         test a configuration: stunnel's are understood as they are")
    print(f"  {command} FILE               run it")
    print(f"  {command} lab up             the three hosts, to try things on (root)")


def _command() -> str:
    """How the user can call us: by the name, or by the path of what runs now."""
    running = Path(sys.argv[0])
    found = shutil.which("gtunnel")
    if running.name != "gtunnel" or (found is not None and Path(found).resolve() == running.resolve()):
        return "gtunnel"
    with suppress(ValueError):
        return str(running.resolve().relative_to(Path.cwd()))
    return str(running)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    """A directory of our own, or the one to keep."""
    if keep is not None:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gtunnel-demo-") as directory:
        yield Path(directory)


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that what was set up is removed."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
