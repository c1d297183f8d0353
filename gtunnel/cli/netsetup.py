"""`gtunnel netsetup`: the kernel's side of the same configuration file. Here alone gtunnel and netsetup meet."""

import argparse
import json
import sys
from collections.abc import Callable

from gtunnel.address import SocketAddress
from gtunnel.cli import doctor, source
from gtunnel.conf.errors import ConfigError
from gtunnel.conf.options_net import NET_NAME
from gtunnel.conf.settings import Configuration, ServiceSettings
from gtunnel.errors import GtunnelError
from gtunnel.net import names
from netsetup import api, model
from netsetup.errors import NetsetupError
from netsetup.outcome import Outcome, Status
from netsetup.plan import Plan, step_lines

IN_SYNC, FAILED, DRIFT = 0, 1, 2
_DEFAULT_NAME = NET_NAME.default


class NothingWantedError(GtunnelError):
    """A configuration of which the kernel need not know. Fields: file, rest (what that means here, or nothing)."""

    template = "{file}: nothing to set up: no service has `capture` or `transparent = source`{rest}"


DESCRIPTION = """\
Set the kernel up for the transparent services of a configuration: firewall rules, routing rules, routes and sysctls,
in IPv4 and IPv6. Everything carries our mark, and nothing else is touched. Applying twice changes nothing; "destroy"
leaves the kernel as it was, but for empty tables of legacy iptables, which the kernel keeps once they were used.
"""

EXAMPLE = """\
examples:
  gtunnel netsetup plan /etc/gtunnel/gateway.conf       what would change
  gtunnel netsetup plan --script > review.sh            the same as a shell script
  gtunnel netsetup apply /etc/gtunnel/gateway.conf      change it
  gtunnel netsetup status /etc/gtunnel/gateway.conf     exit status 0: in sync, 2: drift
  gtunnel netsetup check                                why would connections not work?
  gtunnel netsetup destroy                              undo it
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `netsetup` and its commands."""
    parser = subparsers.add_parser(
        "netsetup",
        help="set up the kernel for transparent proxying, look at it, and undo it",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add(commands, "plan", "say what apply would do; changes nothing", _plan)
    _add(commands, "apply", "make the kernel hold what the configuration wants", _apply)
    _add(commands, "status", "say whether it does: exit status 0 in sync, 2 drift", _status)
    doctor.add_command(commands, _guarded, _request_or_refuse)
    _add(commands, "destroy", "remove all that is ours; needs no configuration", _destroy)


def _add(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    action: Callable[[argparse.Namespace], int],
) -> None:
    parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    which = "configuration file (default: see gtunnel --help)"
    if name == "destroy":
        which = "configuration whose netName is meant (default: --name)"
        parser.add_argument("--name", metavar="NAME", default=None, help="netName of what is to go (default: gtunnel)")
    parser.add_argument("file", metavar="FILE", nargs="?", help=which)
    parser.add_argument("--json", action="store_true", help="answer in JSON, for programs")
    parser.add_argument("--netns", metavar="NAME", help="work in this network namespace (see ip-netns(8))")
    if name == "plan":
        parser.add_argument("--script", action="store_true", help="answer with a shell script that does the same")
    if name in ("apply", "destroy"):
        parser.add_argument("--dry-run", action="store_true", help="say the steps, do nothing")
    parser.set_defaults(func=_guarded(action))


def _guarded(action: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    def guarded(arguments: argparse.Namespace) -> int:
        try:
            return action(arguments)
        except ConfigError as error:
            for problem in error.problems:
                sys.stderr.write(f"error: {problem}\n")
        except (NetsetupError, GtunnelError) as error:
            sys.stderr.write(f"error: {error}\n")
        return FAILED

    return guarded


def _plan(arguments: argparse.Namespace) -> int:
    plan = api.plan(_request_or_refuse(arguments), arguments.netns)
    if arguments.script:
        return _print(script_of(plan, arguments.netns))
    return _tell(arguments, plan)


def _apply(arguments: argparse.Namespace) -> int:
    return _tell(arguments, api.apply(_request_or_refuse(arguments), arguments.netns, dry_run=arguments.dry_run))


def _status(arguments: argparse.Namespace) -> int:
    try:
        wanted = _request(arguments)
    except NothingWantedError as nothing:
        return _status_of_nothing(arguments, nothing)
    status = api.status(wanted, arguments.netns)
    _tell(arguments, status)
    return IN_SYNC if status.in_sync else DRIFT


def _status_of_nothing(arguments: argparse.Namespace, nothing: NothingWantedError) -> int:
    left = _left_behind(arguments)
    if arguments.json:
        _tell(arguments, Status(differences=left))
        return DRIFT if left else IN_SYNC
    if not left:
        print(f"in sync: {nothing}, and nothing of ours is there")
        return IN_SYNC
    _print((*left, f"drift: {nothing}; yet the lines above are there; to remove them, {_how_to_destroy(arguments)}"))
    return DRIFT


def _destroy(arguments: argparse.Namespace) -> int:
    name = arguments.name
    if name is None:
        name = _name_in(arguments.file) if arguments.file is not None else _DEFAULT_NAME
    return _tell(arguments, api.destroy(name, arguments.netns, dry_run=arguments.dry_run))


def _name_in(file: str) -> str:
    return source.from_file(file).load().net.name


def script_of(plan: Plan, netns: str | None) -> tuple[str, ...]:
    """A plan as a shell script to review, keep, or run elsewhere."""
    return (
        "#!/bin/sh",
        f"# What `gtunnel netsetup apply` would do{f' in the network namespace {netns}' if netns else ''}.",
        "# It starts from what was there when it was made, so it works once. apply also locks, reads back, undoes what",
        "# it did if anything fails, and remembers former sysctls.",
        *(f"# {note}" for note in plan.notes),
        *(f"# Warning: {warning}" for warning in plan.warnings),
        "set -eu",
        *plan.script,
    )


def _tell(arguments: argparse.Namespace, answer: Plan | Outcome | Status) -> int:
    """For people, or with --json for programs."""
    return _print((json.dumps(answer.data(), indent=2),) if arguments.json else answer.lines())


def _print(lines: tuple[str, ...]) -> int:
    for line in lines:
        print(line)
    return 0


def _request_or_refuse(arguments: argparse.Namespace) -> model.Request:
    """For commands that want something. Raises `NothingWantedError`, which says so if something of ours is there.

    It is not removed unasked: the wrong FILE would be enough to stop a gateway.
    """
    try:
        return _request(arguments)
    except NothingWantedError as nothing:
        if not _left_behind(arguments):
            raise
        rest = f"; what was set up earlier is still there; to remove it, {_how_to_destroy(arguments)}"
        raise NothingWantedError(file=nothing.fields["file"], rest=rest) from nothing


def _left_behind(arguments: argparse.Namespace) -> tuple[str, ...]:
    """What is there of ours: what `destroy` would remove."""
    return step_lines(api.destroy(_name_in(arguments.file), arguments.netns, dry_run=True).steps)


def _how_to_destroy(arguments: argparse.Namespace) -> str:
    name = _name_in(arguments.file)
    which = f" --name {name}" if name != _DEFAULT_NAME else ""
    where = f" --netns {arguments.netns}" if arguments.netns is not None else ""
    return f"run `gtunnel netsetup destroy{which}{where}`"


def _request(arguments: argparse.Namespace) -> model.Request:
    return request(source.from_file(arguments.file).load())


def request(configuration: Configuration) -> model.Request:
    """What a configuration wants of the kernel. Raises `NothingWantedError` if nothing in it is transparent."""
    interceptions = tuple(
        _interception(service)
        for service in configuration.services
        if service.capture is not None or service.transparency.source
    )
    if not interceptions:
        raise NothingWantedError(file=configuration.file, rest="")
    net = configuration.net
    return model.Request(
        interceptions=interceptions,
        instance=net.name,
        backend=model.Backend(net.backend.value),
        marks=model.Marks.from_first(net.mark, net.mask),
        table=net.table,
        priority=net.priority,
    )


def _interception(service: ServiceSettings) -> model.Interception:
    capture = service.capture
    return model.Interception(
        name=service.name,
        listeners=tuple(
            model.Listener(host=address.host, port=address.port)
            for endpoint in service.accept
            for address in names.lookup(endpoint, default_host=names.ANY)
            if isinstance(address, SocketAddress)
        ),
        source=service.transparency.source,
        capture=None
        if capture is None
        else model.Capture(
            ports=capture.ports,
            interfaces=capture.interfaces,
            from_networks=capture.from_networks,
            to_networks=capture.to_networks,
            exclude=capture.exclude,
            local=capture.local,
            method=model.Method(capture.method.value),
            fail_closed=capture.fail_closed,
        ),
        targets=_targets(service),
    )


def _targets(service: ServiceSettings) -> tuple[model.Target, ...]:
    if not service.transparency.source:
        return ()
    return tuple(
        model.Target(host=address.host, port=address.port)
        for endpoint in service.connect.targets
        for address in names.lookup(endpoint, default_host=names.LOOPBACK)
        if isinstance(address, SocketAddress)
    )
