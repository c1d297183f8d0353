"""Options of who may connect, and how many: TCP wrappers, ident, limits, and the owner of a Unix socket."""

from gtunnel.conf.option import Scope, Single, Topic
from gtunnel.conf.parsers import group, integer, seconds, text_of, user, yes_no

# More than any descriptor limit allows is a typing error.
MAX_CONNECTIONS = 1 << 24
# RFC 1413 allows user identifiers of so many octets.
MAX_USER = 512

_count = integer(0, MAX_CONNECTIONS, "Illegal number of connections")


def connections(text: str) -> int | None:
    """Parse a number of connections; 0 is no limit."""
    return _count(text) or None


HANDSHAKE_TIMEOUT = Single[float | None](
    name="handshakeTimeout",
    scope=Scope.SERVICE,
    parse=lambda text: seconds("handshake")(text) or None,
    default=None,
    metavar="SECONDS",
    help="how long everything before the relay may take",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "From accepting a connection until its data is relayed: access checks, the negotiation of a protocol, the TLS "
        "handshake, OCSP, connecting to the target. TIMEOUTbusy limits each step of that, so that a peer may take a "
        "long time in small steps; `handshakeTimeout = 30` ends that. 0, the default, sets no such limit."
    ),
)
IDENT = Single[str | None](
    name="ident",
    scope=Scope.SERVICE,
    parse=text_of("a user name", MAX_USER),
    default=None,
    metavar="USER",
    help="user that the client's ident server has to name",
    topic=Topic.PROTOCOLS,
    more=(
        "Asks port 113 of the client's machine who has made the connection (RFC 1413), and refuses everybody else. The "
        "answer is as trustworthy as that machine: for networks where one administrator has both. `ident = backup` "
        "lets in what the user backup of that machine connects with."
    ),
)
LIBWRAP = Single(
    name="libwrap",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=False,
    metavar="yes|no",
    help="ask /etc/hosts.allow and /etc/hosts.deny",
    needs="the library libwrap (Debian's package libwrap0)",
    topic=Topic.PROTOCOLS,
    more=(
        "The service's name is what these files call the daemon (hosts_access(5)). With `sni` in server mode, both the "
        "service that accepts and the one that serves the name are asked about. Checks that look names up hold up "
        "nobody else. `spawn` works; `twist` and `banners` cannot answer under TLS, and refuse. Inside a chroot, the "
        "files of the jail count."
    ),
)
MAX_CONNECTIONS_PER_IP = Single[int | None](
    name="maxConnectionsPerIP",
    scope=Scope.SERVICE,
    parse=connections,
    default=None,
    metavar="NUMBER",
    help="how many connections a client's address may have with the service at a time",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "Counted over all workers; what is more is refused at once. Addresses of IPv6 count by their /64, which one "
        "host has all of. Clients of Unix sockets have no address and are not counted. 0, the default, is no limit."
    ),
)
SERVICE_MAX_CONNECTIONS = Single[int | None](
    name="maxConnections",
    scope=Scope.SERVICE,
    parse=connections,
    default=None,
    metavar="NUMBER",
    help="how many connections the service may have at a time",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "Counted over all workers; what is more is refused at once. Before the first section the same option is the "
        "limit of all services together. 0, the default, is no limit but that of descriptors, which delays. "
        "Where a reload brings the first limit, connections from before it are not counted."
    ),
)
PROCESS_MAX_CONNECTIONS = Single[int | None](
    name="maxConnections",
    scope=Scope.GLOBAL,
    parse=connections,
    default=None,
    metavar="NUMBER",
    help="how many connections all services together may have at a time",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more="See the option of the same name for services.",
)
SOCKET_GROUP = Single[str | None](
    name="setgid",
    scope=Scope.SERVICE,
    parse=group,
    default=None,
    metavar="GROUP",
    help="group of the Unix socket to listen on",
    topic=Topic.PROTOCOLS,
    more=(
        "For `accept = /path`. Its own, else the one that the process becomes. The file's mode comes from the umask."
    ),
)
SOCKET_OWNER = Single[str | None](
    name="setuid",
    scope=Scope.SERVICE,
    parse=user,
    default=None,
    metavar="USER",
    help="owner of the Unix socket to listen on",
    topic=Topic.PROTOCOLS,
    more="For `accept = /path`. Its own, else the user that the process becomes.",
)

OPTIONS = (
    HANDSHAKE_TIMEOUT,
    IDENT,
    LIBWRAP,
    MAX_CONNECTIONS_PER_IP,
    PROCESS_MAX_CONNECTIONS,
    SERVICE_MAX_CONNECTIONS,
    SOCKET_GROUP,
    SOCKET_OWNER,
)
