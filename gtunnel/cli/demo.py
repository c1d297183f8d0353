"""`gtunnel demo`: the main job, shown on this machine, without anything to prepare."""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gtunnel.demo import gateway, tunnel
from gtunnel.demo.errors import DemoError, DirectoryError, LabLeftError, LabTakenError, OutputError
from netsetup.lab import Interrupted, Lab, LabError, LabExistsError, LabIncompleteError, held, interruptible

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
    began = time.monotonic()
    try:
        _show(args.keep, args.name)
        _say(f"\nDone in {time.monotonic() - began:.1f} seconds; everything is removed again{_except(args.keep)}.\n")
        _say_what_next(args.keep)
    except Interrupted as interruption:
        # Whatever could not be removed has been raised instead, from where it happened.
        _complain(f"\n{interruption.what}. Everything is removed{_except(args.keep)}.")
        return interruption.status
    except (DemoError, LabError) as error:
        _complain(f"\ngtunnel demo: {error}")
        return 1
    except BrokenPipeError:
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"\ngtunnel demo: {where}{error.strerror or error}")
        return 1
    return 0


def _show(keep: Path | None, name: str) -> None:
    """Both parts. Signals take effect only between two lines that are said.

    Not anywhere: subprocess.Popen.wait, left by an exception at the wrong instruction, keeps its lock, and the wait
    for the same program in the clean-up never ends.
    """
    with interruptible(), held() as hold, _directory(keep) as directory:

        def say(line: str) -> None:
            with hold.released():
                _say(line)

        say("1. A TLS tunnel, from end to end\n")
        tunnel.show(say, directory)
        say("\n2. A transparent gateway\n")
        if os.geteuid() != 0:
            say("   Only root can set up a gateway: sudo " + _command() + " demo")
            return
        reason = gateway.obstacle()
        if reason is not None:
            say(f"   Not shown: {reason}")
            return
        with _lab(name) as lab:
            gateway.show(say, directory, lab)


@contextmanager
def _lab(name: str) -> Iterator[Lab]:
    """A lab of our own. Raises `LabTakenError` if there is one, whole or in part."""
    remove = f"{_command()} lab down --name {name}"
    lab = Lab(name)
    try:
        lab.__enter__()
    except (LabExistsError, LabIncompleteError) as error:
        raise LabTakenError(reason=str(error), command=remove) from error
    try:
        yield lab
    finally:
        try:
            lab.__exit__(None, None, None)
        except LabError as error:
            raise LabLeftError(reason=str(error), command=remove) from error


def _say(line: str) -> None:
    # At once: whoever watches a pipe sees where it is.
    try:
        print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(reason=error.strerror or str(error)) from error


def _complain(line: str) -> None:
    # The terminal may be what has gone.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _except(kept: Path | None) -> str:
    return "" if kept is None else f", but for what is in {kept}"


def _say_what_next(kept: Path | None) -> None:
    command = _command()
    _say("Go on:")
    if kept is None:
        _say(f"  {command} demo --keep DIR    leave configuration and certificates there, to look at and to try")
    else:
        _say(f"  {command} check {kept}/tunnel.conf")
    _say(f"  {command} check FILE         test a configuration: stunnel's are understood as they are")
    _say(f"  {command} FILE               run it")
    _say(f"  {command} lab up             the three hosts, to try things on (root)")


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
        try:
            keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            reason = "is there, and is no directory" if isinstance(error, FileExistsError) else error.strerror
            raise DirectoryError(path=keep, reason=reason) from error
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="gtunnel-demo-") as directory:
        yield Path(directory)
