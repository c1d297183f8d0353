"""gtunnel's own options: the traffic that `gtunnel netsetup` hands to a service.

Lists take commas as well as several lines: `capture = 80,8000-8099`.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import TypeVar

from gtunnel.address import MAX_PORT, parse_port
from gtunnel.conf.option import BadValueError, Repeated, Scope, Single, Topic
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
    topic=Topic.TRANSPARENCY,
    more=(
        "`gtunnel netsetup apply` makes the kernel lead TCP connections to these ports to this service, whatever "
        "host they are for; nothing is captured before that. Needs `transparent = destination` or `transparent = "
        "both`, and an accept with a port. Such as `capture = 80,8000-8099`. No two services may want the same "
        "traffic."
    ),
)
CAPTURE_EXCLUDE = Repeated(
    name="captureExclude",
    scope=Scope.SERVICE,
    parse=list_of(network),
    metavar="NETWORK[,...]",
    help="destinations that are left alone",
    since=SINCE,
    topic=Topic.TRANSPARENCY,
    more="Such as `captureExclude = 192.0.2.0/24,2001:db8::/32`. Clients in these networks are captured like others.",
)
CAPTURE_FAIL_CLOSED = Single(
    name="captureFailClosed",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="while gtunnel is down, captured traffic goes nowhere",
    since=SINCE,
    default_text="yes",
    topic=Topic.TRANSPARENCY,
    more=(
        "With yes, what `gtunnel netsetup apply` captures is refused or dropped as long as nobody listens, and a "
        "connection that was captured never goes on past gtunnel, whatever becomes of it; nor does what fits no "
        "connection. That takes connection tracking: where it was not in use before `apply`, connections to captured "
        "ports that exist then end. With no, new connections go on to where they were meant, without "
        "gtunnel, as if nothing were set up: that works for traffic from outside with `captureMethod = tproxy` and "
        "nftables, and is refused elsewhere. Before `apply`, and after `destroy`, nothing is captured either way."
    ),
)
CAPTURE_FROM = Repeated(
    name="captureFrom",
    scope=Scope.SERVICE,
    parse=list_of(network),
    metavar="NETWORK[,...]",
    help="take only what comes from these clients",
    since=SINCE,
    topic=Topic.TRANSPARENCY,
    more=(
        "Addresses or networks, such as `captureFrom = 10.0.0.0/8`. A network with host bits set is refused, as a "
        "typing error. Does not concern the gateway's own connections."
    ),
)
CAPTURE_INTERFACE = Repeated(
    name="captureInterface",
    scope=Scope.SERVICE,
    parse=list_of(interface),
    metavar="INTERFACE[,...]",
    help="take only what comes in through these interfaces",
    since=SINCE,
    topic=Topic.TRANSPARENCY,
    more="The interfaces of the clients, such as `captureInterface = eth1`. They need not exist yet.",
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
    topic=Topic.TRANSPARENCY,
    more=(
        "gtunnel's own connections are told by their mark and left out, so this does not loop. Other proxies on the "
        "machine are captured, too."
    ),
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
    topic=Topic.TRANSPARENCY,
    more=(
        "`captureMethod = tproxy` hands connections over as they are, which needs routing rules; `captureMethod = "
        "redirect` rewrites their destination by NAT, and conntrack remembers it. auto chooses for each kind of "
        "traffic; `gtunnel netsetup plan` says which, and why."
    ),
)
CAPTURE_TO = Repeated(
    name="captureTo",
    scope=Scope.SERVICE,
    parse=list_of(network),
    metavar="NETWORK[,...]",
    help="take only what goes to these destinations",
    since=SINCE,
    topic=Topic.TRANSPARENCY,
    more="As `captureFrom`, for where connections go.",
)

OPTIONS = (
    CAPTURE,
    CAPTURE_EXCLUDE,
    CAPTURE_FAIL_CLOSED,
    CAPTURE_FROM,
    CAPTURE_INTERFACE,
    CAPTURE_LOCAL,
    CAPTURE_METHOD,
    CAPTURE_TO,
)
