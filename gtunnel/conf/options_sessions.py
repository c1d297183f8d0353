"""Options of session resumption: what is kept, where, and for how long."""

import re
from urllib.parse import urlsplit

from gtunnel.address import HostPort
from gtunnel.conf.option import SHARED_OPENSSL, BadValueError, Scope, Single, Topic
from gtunnel.conf.parsers import integer, seconds, target, yes_no
from gtunnel.conf.settings import SessionServer, SessionServerKind
from gtunnel.errors import AddressError

_MAX_INT = 2**31 - 1
# What a key or MAC secret may be, as stunnel has it: AES-128 or AES-256, HMAC-SHA256.
SECRET_BYTES = (16, 32)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2}:?)*[0-9A-Fa-f]{2}")
REDIS_PORT = 6379
_REDIS_SCHEMES = ("redis", "rediss")


def hex_secret(text: str) -> bytes:
    """Parse hexadecimal digits, with or without colons between bytes. The message never quotes them."""
    if _HEX.fullmatch(text) is None:
        raise BadValueError("hexadecimal digits are needed")
    secret = bytes.fromhex(text.replace(":", ""))
    if len(secret) not in SECRET_BYTES:
        raise BadValueError(f"{len(secret)} bytes instead of the required 16 or 32 bytes")
    return secret


def session_server(text: str) -> SessionServer:
    """Parse `HOST:PORT` (sessiond) or `redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER]`."""
    if "://" in text:
        return _redis(text)
    reason = "HOST:PORT or redis://HOST:PORT is needed"
    try:
        address = target(text)
    except (AddressError, BadValueError):
        raise BadValueError(reason) from None
    if not isinstance(address, HostPort) or not address.host:
        raise BadValueError(reason)
    return SessionServer(kind=SessionServerKind.SESSIOND, host=address.host, port=address.port)


def _redis(text: str) -> SessionServer:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise BadValueError("redis://HOST:PORT is needed") from None
    database = url.path.lstrip("/")
    if url.scheme not in _REDIS_SCHEMES or not url.hostname or not (database.isdigit() or not database):
        raise BadValueError("redis://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] is needed")
    return SessionServer(
        kind=SessionServerKind.REDIS, host=url.hostname, port=REDIS_PORT if port is None else port, url=text
    )


SESSION_CACHE_SIZE = Single(
    name="sessionCacheSize",
    scope=Scope.SERVICE,
    parse=integer(0, _MAX_INT, "Illegal session cache size"),
    default=1000,
    metavar="NUMBER",
    help="how many sessions all workers together keep for resumption; 0 for 65536",
    default_text="1000",
    topic=Topic.SESSIONS,
    more=(
        "Of a server, for clients that take no tickets; of a client, for the servers that it connects to. When "
        "there is no room, a session that would end soon goes. 0 means 65536, which is the most."
    ),
)
SESSION_CACHE_TIMEOUT = Single(
    name="sessionCacheTimeout",
    aliases=("session",),
    scope=Scope.SERVICE,
    parse=seconds("session cache"),
    default=300.0,
    metavar="SECONDS",
    help="how long a session may be resumed",
    default_text="300 seconds",
    topic=Topic.SESSIONS,
    more=(
        "Whole seconds. A client counts from the full handshake in which the server's certificate was checked, "
        "however often the server renews the session. So does a server with OpenSSL as a shared library; with PyPI's "
        "wheels, a client of TLS 1.3 that comes back in time has its session renewed, until its certificate expires. "
        "0 means that sessions are not resumed."
    ),
)
SESSION_RESUME = Single(
    name="sessionResume",
    scope=Scope.SERVICE,
    parse=yes_no,
    default=True,
    metavar="yes|no",
    help="let sessions be resumed",
    since="stunnel 5.50",
    default_text="yes",
    topic=Topic.SESSIONS,
    more=(
        "Resuming saves the certificates and most of the computing. A resumed session is as authenticated as the "
        "one it began with, and good only for a service that demands the same of its peers. Not with `redirect` and "
        "`PSKsecrets` together."
    ),
)
SESSIOND = Single[SessionServer | None](
    name="sessiond",
    scope=Scope.SERVICE,
    parse=session_server,
    default=None,
    metavar="HOST:PORT|redis://HOST:PORT",
    help="server that keeps the sessions of several machines",
    # The URL of a redis server may hold a password.
    secret=True,
    topic=Topic.SESSIONS,
    more=(
        "So that several gateways behind a load balancer resume each other's sessions. For servers; no effect in "
        "client mode. `sessiond = 192.0.2.7:54321` speaks the protocol of the sessiond daemon (UDP), which has room "
        "for sessions up to 512 bytes, so for none with a client's certificate; `sessiond = "
        "redis://192.0.2.7:6379/0` speaks that of redis; a redis URL may have `USER:PASSWORD@`, and rediss:// "
        "encrypts. Tickets are off then. Whoever can read the sessions can decrypt connections: keep that server in "
        "a network of your own. One that does not answer costs full handshakes, nothing more."
    ),
    needs=SHARED_OPENSSL,
)
TICKET_KEY_SECRET = Single[bytes | None](
    name="ticketKeySecret",
    scope=Scope.SERVICE,
    parse=hex_secret,
    default=None,
    metavar="HEX",
    help="key that session tickets are encrypted with (with ticketMacSecret)",
    since="stunnel 5.50",
    secret=True,
    topic=Topic.SESSIONS,
    more=(
        "16 or 32 bytes in hexadecimal, colons allowed (`openssl rand -hex 32` makes one). With both secrets the "
        "tickets of a server are good after a restart, and on all machines that have the same two. Without them, "
        "they are made anew at each start. Change them from time to time: whoever has them can decrypt recorded "
        "connections of TLS 1.2. They stay out of the log. No effect in client mode."
    ),
    needs=SHARED_OPENSSL,
)
TICKET_MAC_SECRET = Single[bytes | None](
    name="ticketMacSecret",
    scope=Scope.SERVICE,
    parse=hex_secret,
    default=None,
    metavar="HEX",
    help="key that session tickets are authenticated with (with ticketKeySecret)",
    since="stunnel 5.50",
    secret=True,
    topic=Topic.SESSIONS,
    more="16 or 32 bytes in hexadecimal. Goes with `ticketKeySecret`: one without the other is refused.",
    needs=SHARED_OPENSSL,
)

TICKET_SECRETS = (TICKET_KEY_SECRET, TICKET_MAC_SECRET)
OPTIONS = (SESSION_CACHE_SIZE, SESSION_CACHE_TIMEOUT, SESSION_RESUME, SESSIOND, *TICKET_SECRETS)
