"""`gtunnel check`: would this configuration run, and is it safe?"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from gtunnel.address import Endpoint, SocketAddress, UnixPath
from gtunnel.cli import source
from gtunnel.conf.advice import Severity, advise
from gtunnel.conf.errors import ConfigError, Problem, problem_of
from gtunnel.conf.settings import Configuration, ServiceSettings
from gtunnel.events import Level, Log
from gtunnel.values import dataclass

DESCRIPTION = """\
Test a configuration without running it: the file, what it includes, certificates and keys, names and addresses, and
the rights it needs. Nothing is bound, connected or changed. Then warn about what is unsafe, and say what to do about
it. Ask as the user who is to run it, mostly root.

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
    from gtunnel.tls import features

    features.demand()
    chosen = source.from_file(arguments.file)
    try:
        configuration = chosen.load()
    except ConfigError as error:
        return _failed(error.problems, chosen.name)
    found = _Findings()
    _compile(configuration, found)
    _listen(configuration, found)
    if found.errors:
        return _failed(found.errors, chosen.name)
    advice = advise(configuration)
    warnings = [*found.warnings, *(str(one) for one in advice if one.severity is Severity.WARNING)]
    print(f"here: {features.summary()}")
    for warning in warnings:
        print(f"warning: {warning}")
    for remark in advice:
        if remark.severity is Severity.REMARK:
            print(f"remark: {remark}")
    names = ", ".join(service.name for service in configuration.services)
    count = f"{len(warnings)} warning{'s' * (len(warnings) != 1)}" if warnings else "no warnings"
    print(f"{chosen.name}: would run, with {count}; services: {names}")
    return 0


class _Findings:
    """What would be logged on the way to a running daemon, as far as somebody has to know it."""

    threshold = Level.WARNING

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def write(self, level: Level, message: str) -> None:
        """See `Log`."""
        if level <= self.threshold:
            (self.warnings if level is Level.WARNING else self.errors).append(message)

    def named(self, identifier: str) -> Log:  # noqa: ARG002
        """See `Log`."""
        return self


def _compile(configuration: Configuration, found: _Findings) -> None:
    """Do what a start does before it binds: certificates, rights, and names to connect to."""
    from gtunnel.daemon import generation
    from gtunnel.daemon.log import Journal
    from gtunnel.daemon.terminal import ask
    from gtunnel.net.loops import LoopGuard
    from gtunnel.tls.passphrases import Passphrases
    from gtunnel.tls.site import Site

    try:
        site = Site(Passphrases(ask), configuration.process.chroot)
        generation.prepare_library(configuration, found, change=False)
        generation.compile_services(configuration, LoopGuard(), Journal(()), found, site)
    except generation.GenerationError as error:
        # The last line only says that there were others.
        found.errors.remove(str(error))


def _listen(configuration: Configuration, found: _Findings) -> None:
    """What listening would fail with. A service that has one address left runs, and is warned of the others."""
    bound = _Bound()
    for service in configuration.services:
        problems: list[Problem] = []
        free = 0
        for endpoint in service.accept:
            refused = list(_refusals(service, endpoint, bound))
            free += not refused
            problems += (problem_of(service, "accept", reason, value=endpoint) for reason in refused)
        (found.warnings if free else found.errors).extend(str(problem) for problem in problems)


def _refusals(service: ServiceSettings, endpoint: Endpoint, bound: "_Bound") -> Iterator[str]:
    """Why an address cannot be listened on; nothing if it can, as far as this can be told without doing it."""
    from gtunnel.net import names
    from gtunnel.net.errors import ResolveError

    try:
        addresses: Sequence[names.Address] = names.lookup(endpoint, default_host=names.ANY)
    except ResolveError as error:
        yield str(error)
        return
    refused = [
        reason
        for address in addresses
        if (reason := _unix_refusal(address) if isinstance(address, UnixPath) else bound.add(address, service))
    ]
    # A name is listened on where it can be.
    if len(refused) == len(addresses):
        yield from refused[:1]


def _unix_refusal(address: UnixPath) -> str | None:
    path = Path(address.path)
    # What we may not look at is left to who binds.
    with suppress(PermissionError):
        if not path.parent.is_dir():
            return f"there is no directory {path.parent}"
        if path.exists() and not path.is_socket():
            return "there is something else in the place of the socket"
    return None


@dataclass(frozen=True, slots=True)
class _Taken:
    """Who listens where; `device` is the one interface that it is for (None: all of them)."""

    address: SocketAddress
    device: object
    service: str


class _Bound:
    """The TCP addresses that are taken so far. Not what other processes have: one of them may be the running gtunnel.

    An address of a port excludes another listener on all addresses of the same family, and the other way round
    (bind(2), EADDRINUSE), unless both are for different interfaces (SO_BINDTODEVICE, socket(7)).
    """

    def __init__(self) -> None:
        # By family and port. Those on all addresses stand in their own table, too: they meet everybody.
        self._all: dict[tuple[int, int], list[_Taken]] = {}
        self._on_all: dict[tuple[int, int], list[_Taken]] = {}
        self._on_one: dict[SocketAddress, list[_Taken]] = {}

    def add(self, address: SocketAddress, service: ServiceSettings) -> str | None:
        """Take an address; or why that does not work."""
        if address.port == 0:
            return None
        values = [option.value for option in service.sockets.accept if option.name == "SO_BINDTODEVICE"]
        device = values[-1] if values else None
        taken = _Taken(address, device, service.name)
        port = (address.family, address.port)
        met = self._all.get(port, []) if _everywhere(address) else self._on_all.get(port, [])
        for other in (*met, *self._on_one.get(address, [])):
            if other.device == device or None in (other.device, device):
                return f"Binding would fail: service [{other.service}] accepts on {other.address} already"
        self._all.setdefault(port, []).append(taken)
        self._on_one.setdefault(address, []).append(taken)
        if _everywhere(address):
            self._on_all.setdefault(port, []).append(taken)
        return None


def _everywhere(address: SocketAddress) -> bool:
    return address.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def _failed(problems: Sequence[object], name: str) -> int:
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    count = f"{len(problems)} error{'s' * (len(problems) != 1)}"
    sys.stderr.write(f"{name}: would not run: {count}\n")
    return 1
