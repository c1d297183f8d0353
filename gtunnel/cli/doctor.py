"""`gtunnel netsetup check`: why transparent connections would not work here, and a probe with a real one."""

import argparse
import ipaddress
import json
from collections.abc import Callable

from gtunnel.errors import GtunnelError
from netsetup import api
from netsetup.doctor.findings import Diagnosis
from netsetup.doctor.probe.attempts import Wish
from netsetup.doctor.probe.hops import Probes
from netsetup.model import Request

NOTHING_FOUND, FOUND = 0, 2

DESCRIPTION = """\
Say why transparent connections would not work on this machine: what was seen, what comes of it, and what to do.
Nothing is changed. With --probe, one real connection is made for each service and IP version, from a network of its
own that is gone afterwards, and each hop is told.

Exit status: 0 nothing found (notes do not count), 2 something found, 1 could not check.
"""

EXAMPLE = """\
examples:
  gtunnel netsetup check
  gtunnel netsetup check --probe
  gtunnel netsetup check --probe --service web --from 192.0.2.77 --to 198.51.100.2:80
"""

Guard = Callable[[Callable[[argparse.Namespace], int]], Callable[[argparse.Namespace], int]]
RequestOf = Callable[[argparse.Namespace], Request]


class ProbeOptionError(GtunnelError):
    """An option of the probe makes no sense. Fields: reason."""

    template = "{reason}"


def add_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", guarded: Guard, request: RequestOf
) -> None:
    """Add `check`. `guarded` tells errors as netsetup's other commands do; `request` reads the configuration."""
    parser = commands.add_parser(
        "check",
        help="say why transparent connections would not work here: exit status 0 nothing found, 2 found",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", nargs="?", help="configuration file (default: see gtunnel --help)")
    parser.add_argument("--netns", metavar="NAME", help="work in this network namespace (see ip-netns(8))")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument(
        "--probe", action="store_true", help="make a real connection for each service, and tell each hop"
    )
    parser.add_argument("--from", dest="source", metavar="ADDR", help="the probe's client: an address that nobody has")
    parser.add_argument("--to", metavar="ADDR:PORT", help="a real server for the probe to connect to")
    parser.add_argument("--service", metavar="NAME", help="probe this service only")
    parser.set_defaults(func=guarded(lambda arguments: _check(arguments, request)))


def _check(arguments: argparse.Namespace, request: RequestOf) -> int:
    wish = _wish(arguments)
    wanted = request(arguments)
    if wish is not None and wish.service is not None and wish.service not in _names(wanted):
        raise ProbeOptionError(reason=f"--service {wish.service}: transparent are {', '.join(_names(wanted))}")
    diagnosis = api.check(wanted, arguments.netns)
    probes = None if wish is None else api.probe(wanted, wish, arguments.netns)
    _print(arguments, diagnosis, probes)
    return FOUND if diagnosis.serious or (probes is not None and probes.failed) else NOTHING_FOUND


def _names(request: Request) -> list[str]:
    return [interception.name for interception in request.interceptions]


def _print(arguments: argparse.Namespace, diagnosis: Diagnosis, probes: Probes | None) -> None:
    if arguments.json:
        found = {"findings": [finding.as_dict() for finding in diagnosis.findings]}
        if probes is not None:
            found["probes"] = [one.as_dict() for one in probes.probed]
        print(json.dumps(found, indent=2))
        return
    for line in (*diagnosis.lines(), *(probes.lines() if probes is not None else ())):
        print(line)


def _wish(arguments: argparse.Namespace) -> Wish | None:
    """What to probe; None: nothing. Raises ProbeOptionError."""
    if not arguments.probe:
        for option, value in (("--from", arguments.source), ("--to", arguments.to), ("--service", arguments.service)):
            if value is not None:
                raise ProbeOptionError(reason=f"{option} is for --probe, which is not there")
        return None
    host, port = _endpoint(arguments.to) if arguments.to is not None else (None, None)
    source = _address("--from", arguments.source) if arguments.source is not None else None
    if source is not None and host is not None and (":" in source) != (":" in host):
        raise ProbeOptionError(reason=f"--from {source} and --to {host} are of different IP versions")
    return Wish(source=source, destination=host, port=port, service=arguments.service)


def _endpoint(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ProbeOptionError(reason=f"--to {text}: ADDR:PORT is wanted, such as 198.51.100.2:80 or [2001:db8::2]:80")
    return _address("--to", host.removeprefix("[").removesuffix("]")), int(port)


def _address(option: str, text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError as error:
        raise ProbeOptionError(reason=f"{option} {text}: a numeric address is wanted") from error
