"""Options of a service: its addresses, its transparency, its connections. TLS has its own module."""

from gtunnel.address import Endpoint
from gtunnel.conf.option import Repeated, Scope, Single, Topic
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
    topic=Topic.SERVICE,
    more=(
        "A port number or its name in services(5); with a host, only on the addresses of that name, such as `accept "
        "= 127.0.0.1:8443` or `accept = ::1:8443`. `accept = 443` listens on all IPv4 addresses, `accept = :::443` "
        "on all IPv6 ones, and on those of IPv4 as well unless `socket = a:IPV6_V6ONLY=yes` or the system says "
        "otherwise. A value that begins with a slash is a Unix socket. Port 0 lets the kernel choose. No two "
        "services may accept at the same place, unless SO_BINDTODEVICE puts them on different interfaces. A service "
        "that serves names of another one (`sni`) has no accept."
    ),
)
CLIENT = Single(
    name="client",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="client mode: TLS is spoken on the outgoing side",
    topic=Topic.SERVICE,
    more=(
        "With `client = no`, clients speak TLS to gtunnel, and the target gets what is inside; a certificate or "
        "pre-shared keys are needed. With `client = yes` clients speak plainly, and gtunnel is a TLS client of the "
        "target: then verify who that is (`verifyChain`, `checkHost`)."
    ),
)
CONNECT = Repeated[Endpoint](
    name="connect",
    scope=Scope.SERVICE,
    parse=target,
    metavar="[HOST:]PORT|PATH",
    help="address or Unix socket to connect to; several lines for several",
    topic=Topic.SERVICE,
    more=(
        "Without a host, this machine's loopback. All addresses of a name, and of all lines, are candidates: if one "
        "cannot be connected to within `TIMEOUTconnect`, the next is tried, in the order that `failover` says. "
        "Names are looked up once at start (see `delay`). A value that begins with a slash is a Unix socket. Left "
        "out with `transparent = destination` and `transparent = both`, where the client says the target."
    ),
)
DEBUG = Single[Level | None](
    name="debug",
    scope=Scope.SERVICE,
    parse=debug_level,
    default=None,
    metavar="LEVEL",
    help="how much this service logs; the global level otherwise",
    topic=Topic.LOG,
    more="As the global option, but without a facility: all services share one.",
)
DELAY = Single(
    name="delay",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="look the targets' names up for each connection, not at the start; implies failover = prio",
    topic=Topic.SERVICE,
    more=(
        "For targets whose address changes, or name servers that are not up when gtunnel starts. Names that could "
        "not be looked up at start are looked up for each connection anyway."
    ),
)
FAILOVER = Single(
    name="failover",
    scope=Scope.SERVICE,
    parse=choice(Failover),
    default=Failover.PRIO,
    metavar="rr|prio",
    help="take the targets in turn, or in the order written",
    topic=Topic.SERVICE,
    more=(
        "`failover = rr` starts each connection at the next target, counted over all workers; `failover = prio` "
        "starts at the first. Both try the others if it fails."
    ),
)
LOCAL = Single[str | None](
    name="local",
    scope=Scope.SERVICE,
    parse=host,
    default=None,
    metavar="HOST",
    help="source address of outgoing connections",
    topic=Topic.SERVICE,
    more=(
        "For machines with several addresses. It does not apply where `transparent = source` or `transparent = "
        "both` uses the client's address."
    ),
)
LOG_ID = Single(
    name="logId",
    scope=Scope.SERVICE,
    parse=choice(LogId, "Invalid connection identifier type"),
    default=LogId.SEQUENTIAL,
    metavar="sequential|unique|thread|process",
    help="what identifies a connection in the log",
    default_text="sequential",
    topic=Topic.LOG,
    more=(
        "What stands in `LOG5[...]`: `sequential` counts connections over all workers and services, `unique` is a "
        "random text that no other machine has, `thread` and `process` show the worker."
    ),
)
RESET = Single(
    name="reset",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="tell the other side of an error by a TCP reset",
    topic=Topic.SERVICE,
    more=(
        "A connection that fails (timeout, a reset, a TLS stream cut short) is ended by RST on the other side as "
        "well, so that nobody takes a part for the whole. `reset = no` closes it as if it had ended well."
    ),
)
REDIRECT = Repeated[Endpoint](
    name="redirect",
    scope=Scope.SERVICE,
    parse=target,
    metavar="[HOST:]PORT|PATH",
    help="where clients are connected whose certificate does not convince; several lines for several",
    topic=Topic.VERIFICATION,
    more=(
        "Instead of refusing a client that has no certificate, or one that is not accepted, connect it to another "
        "server, which may explain how to get one. Server mode only, with `verifyChain` or `verifyPeer`. The "
        "handshake succeeds in either case, so `requireCert` is met by redirecting, too. Several lines are tried as "
        "with `connect`. A redirected client that resumes its session is redirected again."
    ),
)
SERVICE_NAME = Single[str | None](
    name="service",
    scope=Scope.SERVICE,
    parse=text_of("a name", MAX_IDENT),
    default=None,
    metavar="NAME",
    help="name of the service in the log instead of its section's",
    topic=Topic.LOG,
    more=(
        "For logs that other programs read. For the option sni of other services, the name in brackets is what counts."
    ),
)
SOCKET = Repeated(
    name="socket",
    scope=Scope.SERVICE,
    parse=parse_socket_line,
    default=DEFAULTS,
    metavar="a|l|r:OPTION=VALUE[:VALUE]",
    help="set an option of the listening, local or remote sockets",
    topic=Topic.SERVICE,
    more=(
        "`a` is the listening socket, `l` the client's connection, `r` the one to the target. `socket = "
        "r:SO_KEEPALIVE=yes`, `socket = l:SO_LINGER=1:60`, `socket = a:SO_BINDTODEVICE=eth1` and `socket = "
        "a:IPV6_V6ONLY=yes` are examples. `gtunnel -sockets` lists names and the system's defaults. Of two lines "
        "about the same option of the same side the last counts."
    ),
)
TIMEOUT_BUSY = Single(
    name="TIMEOUTbusy",
    scope=Scope.SERVICE,
    parse=seconds("busy"),
    default=300.0,
    metavar="SECONDS",
    help="how long a step of a negotiation may take",
    default_text="300 seconds",
    topic=Topic.SERVICE,
    more=(
        "For a TLS handshake as a whole, however its bytes come, and for each step that a peer has to take in the "
        "negotiation of a protocol."
    ),
)
TIMEOUT_CLOSE = Single(
    name="TIMEOUTclose",
    scope=Scope.SERVICE,
    parse=seconds("close"),
    default=60.0,
    metavar="SECONDS",
    help="how long a half-closed connection may wait for close_notify",
    default_text="60 seconds",
    topic=Topic.SERVICE,
    more=(
        "Counts when one direction has ended and nothing is to be sent. Some clients never send close_notify: "
        "`TIMEOUTclose = 0` does not wait for them."
    ),
)
TIMEOUT_CONNECT = Single(
    name="TIMEOUTconnect",
    scope=Scope.SERVICE,
    parse=seconds("connect"),
    default=10.0,
    metavar="SECONDS",
    help="how long connecting to a target may take",
    default_text="10 seconds",
    topic=Topic.SERVICE,
    more="For each address that is tried, so several targets may take longer in all.",
)
TIMEOUT_IDLE = Single(
    name="TIMEOUTidle",
    scope=Scope.SERVICE,
    parse=seconds("idle"),
    default=43200.0,
    metavar="SECONDS",
    help="how long a connection may carry nothing",
    default_text="43200 seconds",
    topic=Topic.SERVICE,
    more=(
        "Counts while both directions are open, or something is still to be sent. Twelve hours by default, for "
        "sessions of people; HTTP needs minutes."
    ),
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
    topic=Topic.TRANSPARENCY,
    more=(
        "`transparent = source` connects to the target from the client's own address, so that its logs show who it "
        "was; `transparent = destination` connects to the address that the client was going to before the firewall "
        "sent the connection here (TPROXY, REDIRECT or DNAT), and there is no `connect`; `transparent = both` does "
        "both. `yes` and `no` mean source and none. `transparent = source` and `transparent = both` need root "
        "(CAP_NET_ADMIN). Firewall and routing have to lead packets here: `gtunnel netsetup apply` sets them up "
        "from this file. A connection to the listener itself, or one of gtunnel's own that a rule caught, is "
        "refused, as it would loop. With `transparent = both` the client's port is not kept, only its address; the "
        "target has to be of the same address family as the client."
    ),
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
