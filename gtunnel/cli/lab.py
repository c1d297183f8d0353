"""`gtunnel lab`: three hosts on this machine to try a gateway on."""

import argparse
import sys
from collections.abc import Callable
from contextlib import suppress

from gtunnel.cli import labdemo
from netsetup.lab import (
    CLIENT,
    DEFAULT_NAME,
    GATEWAY,
    HOSTS,
    SERVER,
    Interrupted,
    Lab,
    LabError,
    LabStatus,
    find_program,
    interruptible,
)

# What a shell answers to a program that is not there.
NOT_FOUND = 127

DESCRIPTION = """\
Three hosts on this machine, client - gateway - server, in network namespaces: IPv4 and IPv6, the gateway forwards.
Nothing outside of them changes. Needs root.

The programs that "run" starts are ended by "down". Several labs can be up at once under different names.
"""

EXAMPLE = """\
example:
  gtunnel lab up
  gtunnel lab run gateway gtunnel netsetup apply gateway.conf
  gtunnel lab run gateway gtunnel gateway.conf
  gtunnel lab run client curl http://198.51.100.2/
  gtunnel lab down

or, without anything to prepare:
  gtunnel lab demo both
"""

RUN_EXAMPLE = """\
examples:
  gtunnel lab run gateway ip -brief address
  gtunnel lab run client curl http://[2001:db8:2::2]/
  gtunnel lab run server bash
"""

PICTURE = f"""\
  client                 gateway                             server
  +---------------+      +-----------------------------+     +---------------+
  |          eth0 |------| to-client         to-server |-----| eth0          |
  +---------------+      +-----------------------------+     +---------------+
  {CLIENT.v4:<22} {GATEWAY.interfaces[0].v4:<16}{GATEWAY.interfaces[1].v4:<20}{SERVER.v4}
  {CLIENT.v6:<22} {GATEWAY.interfaces[0].v6:<16}{GATEWAY.interfaces[1].v6:<20}{SERVER.v6}
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `lab` and its five commands."""
    parser = subparsers.add_parser(
        "lab",
        help="client, gateway and server in network namespaces, to try things on",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    up = commands.add_parser("up", help="bring the lab up", description="Bring the lab up. Up already: nothing changes")
    up.set_defaults(func=_told(_up))
    status = commands.add_parser(
        "status",
        help="say what is there and what runs in it",
        description="Say what is there and what runs in it. Exit status 0 if the lab is up, 1 if not.",
    )
    status.set_defaults(func=_told(_status))
    run = commands.add_parser(
        "run",
        help="run a program on a host",
        description="Run a program on a host of the lab. The exit status is the program's.",
        epilog=RUN_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.set_defaults(func=_told(_run))
    down = commands.add_parser(
        "down",
        help="remove the lab",
        description='Remove the lab and end what "run" started in it. Nothing there: nothing changes.',
    )
    down.set_defaults(func=_told(_down))

    labdemo.add_parser(commands)

    for command in (up, status, run, down):
        command.add_argument("--name", default=DEFAULT_NAME, help="the lab's name (default: %(default)s)")
    run.add_argument("host", choices=[host.name for host in HOSTS], help="where to run it")
    run.add_argument("program", metavar="CMD", help="the program to run")
    arguments = run.add_argument("arguments", metavar="ARG", nargs=argparse.REMAINDER, help="its arguments")
    # argparse takes them for required, and would say so where only the program is missing.
    arguments.required = False


def _told(command: Callable[[Lab, argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """Wrap a command so that its `LabError`s are one line on standard error and exit status 1."""

    def run(args: argparse.Namespace) -> int:
        try:
            return command(Lab(args.name), args)
        except LabError as error:
            print(f"gtunnel lab: {error}", file=sys.stderr)
            return 1

    return run


def _up(lab: Lab, _args: argparse.Namespace) -> int:
    try:
        with interruptible():
            made = lab.up()
    except Interrupted as interruption:
        return _interrupted(lab, interruption)
    if not made:
        print(f"Lab {lab.name} is up already; nothing changed.")
        return 0
    option = _name_option(lab)
    print(f"Lab {lab.name} is up: three hosts, IPv4 and IPv6.\n")
    print(PICTURE)
    print(f"Run something in it:  gtunnel lab run {option}client curl http://{SERVER.v4}/")
    print(f"See what is there:    gtunnel lab status {option}".rstrip())
    print(f"Remove it:            gtunnel lab down {option}".rstrip())
    return 0


def _status(lab: Lab, _args: argparse.Namespace) -> int:
    status = lab.status()
    if status.absent:
        print(f"Lab {lab.name} is not up. Bring it up: gtunnel lab up {_name_option(lab)}".rstrip())
        return 1
    if status.up:
        print(f"Lab {lab.name} is up.\n")
    else:
        print(f"Lab {lab.name} is there in part only. Take it down: gtunnel lab down {_name_option(lab)}\n")
    _print_hosts(status)
    return 0 if status.up else 1


def _print_hosts(status: LabStatus) -> None:
    for host in status.hosts:
        state = "" if host.present else " (missing)"
        print(f"{host.host.name}{state}: namespace {host.namespace}")
        for interface in host.host.interfaces:
            print(f"    {interface.name:<10} {interface.v4:<15} {interface.v6}")
        for process in host.processes:
            whose = "" if process.ours else "  (not started by the lab: it survives `down`)"
            print(f"    process {process.pid}: {process.command}{whose}")


def _run(lab: Lab, args: argparse.Namespace) -> int:  # noqa: RET503 - becoming another program never returns
    if find_program(args.program) is None:
        print(f"gtunnel lab: no program {args.program}", file=sys.stderr)
        return NOT_FOUND
    lab.become(args.host, [args.program, *args.arguments])


def _down(lab: Lab, _args: argparse.Namespace) -> int:
    try:
        with interruptible():
            removed = lab.down()
    except Interrupted as interruption:
        return _interrupted(lab, interruption)
    if removed:
        print(f"Lab {lab.name} is gone.")
    else:
        print(f"Lab {lab.name} was not up; nothing changed.")
    return 0


def _interrupted(lab: Lab, interruption: Interrupted) -> int:
    """Say what it came to: making is undone, removing is finished."""
    now = "is not up" if lab.status().absent else "is up"
    # The terminal may be what has gone.
    with suppress(OSError):
        print(f"\n{interruption.what}. Lab {lab.name} {now}.", file=sys.stderr, flush=True)
    return interruption.status


def _name_option(lab: Lab) -> str:
    """What has to stand in a command to mean this lab, with a blank behind."""
    return "" if lab.name == DEFAULT_NAME else f"--name {lab.name} "
