"""Options of a service: its addresses, its transparency, its connections. TLS has its own module."""

from gtunnel.address import Endpoint
from gtunnel.conf.option import Repeated, Scope, Single
from gtunnel.conf.options_global import MAX_IDENT, debug_level
from gtunnel.conf.parsers import choice, endpoint, host, seconds, target, text_of, yes_no
from gtunnel.conf.settings import Failover, LogId, Transparency
from gtunnel.conf.socketoptions import DEFAULTS, parse_socket_line
from gtunnel.events import Level

ACCEPT = Repeated[Endpoint](
    name="accept",
    scope=Scope.SERVICE,
    parse=endpoint,
    metavar="[HOST:]PORT|PATH",
    help="address or Unix socket to listen on; several lines for several",
)
CLIENT = Single(
    name="client",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="client mode: TLS is spoken on the outgoing side",
)
CONNECT = Repeated[Endpoint](
    name="connect",
    scope=Scope.SERVICE,
    parse=target,
    metavar="[HOST:]PORT|PATH",
    help="address or Unix socket to connect to; several lines for several",
)
DEBUG = Single[Level | None](
    name="debug",
    scope=Scope.SERVICE,
    parse=debug_level,
    default=None,
    metavar="LEVEL",
    help="how much this service logs; the global level otherwise",
)
DELAY = Single(
    name="delay",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="look the targets' names up for each connection, not at the start; implies failover = prio",
)
FAILOVER = Single(
    name="failover",
    scope=Scope.SERVICE,
    parse=choice(Failover),
    default=Failover.PRIO,
    metavar="rr|prio",
    help="take the targets in turn, or in the order written",
)
LOCAL = Single[str | None](
    name="local",
    scope=Scope.SERVICE,
    parse=host,
    default=None,
    metavar="HOST",
    help="source address of outgoing connections",
)
LOG_ID = Single(
    name="logId",
    scope=Scope.SERVICE,
    parse=choice(LogId, "Invalid connection identifier type"),
    default=LogId.SEQUENTIAL,
    metavar="sequential|unique|thread|process",
    help="what identifies a connection in the log",
    default_text="sequential",
)
RESET = Single(
    name="reset",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="tell the other side of an error by a TCP reset",
)
REDIRECT = Repeated[Endpoint](
    name="redirect",
    scope=Scope.SERVICE,
    parse=target,
    metavar="[HOST:]PORT|PATH",
    help="where clients are connected whose certificate does not convince; several lines for several",
)
SERVICE_NAME = Single[str | None](
    name="service",
    scope=Scope.SERVICE,
    parse=text_of("a name", MAX_IDENT),
    default=None,
    metavar="NAME",
    help="name of the service in the log instead of its section's",
)
SOCKET = Repeated(
    name="socket",
    scope=Scope.SERVICE,
    parse=parse_socket_line,
    default=DEFAULTS,
    metavar="a|l|r:OPTION=VALUE[:VALUE]",
    help="set an option of the listening, local or remote sockets",
)
TIMEOUT_BUSY = Single(
    name="TIMEOUTbusy",
    scope=Scope.SERVICE,
    parse=seconds("busy"),
    default=300.0,
    metavar="SECONDS",
    help="how long a step of a negotiation may take",
    default_text="300 seconds",
)
TIMEOUT_CLOSE = Single(
    name="TIMEOUTclose",
    scope=Scope.SERVICE,
    parse=seconds("close"),
    default=60.0,
    metavar="SECONDS",
    help="how long a half-closed connection may wait for close_notify",
    default_text="60 seconds",
)
TIMEOUT_CONNECT = Single(
    name="TIMEOUTconnect",
    scope=Scope.SERVICE,
    parse=seconds("connect"),
    default=10.0,
    metavar="SECONDS",
    help="how long connecting to a target may take",
    default_text="10 seconds",
)
TIMEOUT_IDLE = Single(
    name="TIMEOUTidle",
    scope=Scope.SERVICE,
    parse=seconds("idle"),
    default=43200.0,
    metavar="SECONDS",
    help="how long a connection may carry nothing",
    default_text="43200 seconds",
)
TRANSPARENT = Single(
    name="transparent",
    scope=Scope.SERVICE,
    parse=choice(
        Transparency,
        "Selected transparent proxy mode is not available: none, source, destination or both",
        yes=Transparency.SOURCE,
        no=Transparency.NONE,
    ),
    default=Transparency.NONE,
    metavar="none|source|destination|both",
    help="keep the client's address, connect to the address it meant, or both",
)

OPTIONS = (
    ACCEPT,
    CLIENT,
    CONNECT,
    DEBUG,
    DELAY,
    FAILOVER,
    LOCAL,
    LOG_ID,
    REDIRECT,
    RESET,
    SERVICE_NAME,
    SOCKET,
    TIMEOUT_BUSY,
    TIMEOUT_CLOSE,
    TIMEOUT_CONNECT,
    TIMEOUT_IDLE,
    TRANSPARENT,
)
