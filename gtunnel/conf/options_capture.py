"""gtunnel's own options: the traffic that `gtunnel netsetup` hands to a service.

Lists take commas as well as several lines: `capture = 80,8000-8099`.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import TypeVar

from gtunnel.address import MAX_PORT, parse_port
from gtunnel.conf.option import BadValueError, Repeated, Scope, Single
from gtunnel.conf.parsers import choice, yes_no
from gtunnel.conf.settings import CaptureMethod
from gtunnel.conf.socketoptions import MAX_INTERFACE

T = TypeVar("T")

SINCE = "gtunnel 0.1"
_RANGE = re.compile(r"([0-9]{1,5})(?:\s*-\s*([0-9]{1,5}))?")
# What both iptables and nft take as an interface's name literally: no wildcards, no quoting.
_INTERFACE = re.compile(rf"[A-Za-z0-9_.:@-]{{1,{MAX_INTERFACE}}}")


def list_of(parse: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Parse values that stand between commas."""

    def parse_list(text: str) -> tuple[T, ...]:
        return tuple(parse(part.strip()) for part in text.split(","))

    return parse_list


def port_range(text: str) -> tuple[int, int]:
    """Parse `PORT` (a service's name, too) or `PORT-PORT`, ascending."""
    numbers = _RANGE.fullmatch(text)
    first = int(numbers[1]) if numbers else parse_port(text, text)
    last = int(numbers[2] or first) if numbers else first
    if not 1 <= first <= last <= MAX_PORT:
        raise BadValueError(f"Illegal port range: 1 to {MAX_PORT}, the smaller port first")
    return first, last


def interface(text: str) -> str:
    """Parse an interface's name. It need not exist yet."""
    if _INTERFACE.fullmatch(text) is None or text in {".", ".."}:
        raise BadValueError(f"{text!r} is no interface's name")
    return text


def network(text: str) -> str:
    """Parse an address or a network into canonical text. Host bits are an error: they are never meant."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_interface(text).network
    except ValueError:
        raise BadValueError(f"{text!r} is neither an address nor a network such as 192.0.2.0/24") from None
    raise BadValueError(f"{text!r} has host bits set; the network is {meant}")


CAPTURE = Repeated(
    name="capture",
    scope=Scope.SERVICE,
    parse=list_of(port_range),
    metavar="PORT[-PORT][,...]",
    help="destination ports whose connections this service takes",
    since=SINCE,
)
CAPTURE_EXCLUDE = Repeated(
    name="captureExclude",
    scope=Scope.SERVICE,
    parse=list_of(network),
    metavar="NETWORK[,...]",
    help="destinations that are left alone",
    since=SINCE,
)
CAPTURE_FROM = Repeated(
    name="captureFrom",
    scope=Scope.SERVICE,
    parse=list_of(network),
    metavar="NETWORK[,...]",
    help="take only what comes from these clients",
    since=SINCE,
)
CAPTURE_INTERFACE = Repeated(
    name="captureInterface",
    scope=Scope.SERVICE,
    parse=list_of(interface),
    metavar="INTERFACE[,...]",
    help="take only what comes in through these interfaces",
    since=SINCE,
)
CAPTURE_LOCAL = Single(
    name="captureLocal",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="take the gateway's own connections as well",
    since=SINCE,
    default_text="no",
)
CAPTURE_METHOD = Single(
    name="captureMethod",
    scope=Scope.SERVICE,
    parse=choice(CaptureMethod),
    default=CaptureMethod.AUTO,
    metavar="auto|tproxy|redirect",
    help="how the kernel hands the connections over",
    since=SINCE,
    default_text="auto",
)
CAPTURE_TO = Repeated(
    name="captureTo",
    scope=Scope.SERVICE,
    parse=list_of(network),
    metavar="NETWORK[,...]",
    help="take only what goes to these destinations",
    since=SINCE,
)

OPTIONS = (
    CAPTURE,
    CAPTURE_EXCLUDE,
    CAPTURE_FROM,
    CAPTURE_INTERFACE,
    CAPTURE_LOCAL,
    CAPTURE_METHOD,
    CAPTURE_TO,
)
