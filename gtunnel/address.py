"""Addresses as values: what a configuration names, and what a socket has. No look-up happens here.

An `Endpoint` is what the manual's "address parameter" can be (section CONFIGURATION FILE): a port, `HOST:PORT` or the
path of a Unix socket. A `SocketAddress` is numeric: what `getsockname` and its kin return.
"""

import ipaddress
import socket
from dataclasses import field
from typing import NewType
from urllib.parse import urlsplit

from gtunnel.errors import AddressError
from gtunnel.values import dataclass

MAX_PORT = 65535
# sin6_scope_id has 32 bits.
MAX_SCOPE = 2**32 - 1
# sun_path is 108 bytes and wants a terminating NUL (unix(7)).
MAX_UNIX_PATH = 107
HTTP_PORT = 80
# Longer ones are refused by servers (RFC 9110, section 4.1, asks for 8000 at least).
MAX_URL = 8000


@dataclass(frozen=True, slots=True)
class HostPort:
    """A host, perhaps a name, and a port. An empty host stands for the option's default (all, or localhost)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def literal(self) -> "SocketAddress | None":
        """The numeric address if the host is one; None for a name or an empty host."""
        return numeric(self.host, self.port)


@dataclass(frozen=True, slots=True)
class UnixPath:
    """The path of a Unix stream socket."""

    path: str

    def __str__(self) -> str:
        return self.path


Endpoint = HostPort | UnixPath


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """A `http:` URL: where to connect to, what the request's `Host` says, and the path with its query."""

    endpoint: HostPort
    authority: str = field(compare=False)
    target: str
    text: str = field(compare=False)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """A numeric address of a TCP socket: IPv4 or IPv6 literal without brackets, port, and an IPv6 scope (0: none)."""

    host: str
    port: int
    scope: int = 0

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET6 where the host has a colon, else AF_INET."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def sockaddr(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """The tuple that `socket.bind` and `socket.connect` take."""
        if ":" in self.host:
            return (self.host, self.port, 0, self.scope)
        return (self.host, self.port)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def with_port(self, port: int) -> "SocketAddress":
        """The same host with another port."""
        return SocketAddress(self.host, port, self.scope)


# A client's address is no original destination: the type checker keeps them apart.
ClientAddress = NewType("ClientAddress", SocketAddress)
OriginalDestination = NewType("OriginalDestination", SocketAddress)


def parse_endpoint(text: str) -> Endpoint:
    """Read `PORT`, `HOST:PORT` or `/path` (manual, CONFIGURATION FILE).

    The last colon separates, so IPv6 literals need no brackets (`:::993` is all of IPv6); brackets are taken as well.
    Service names from /etc/services are ports too, as in stunnel. Raises `AddressError`.
    """
    if text.startswith("/"):
        if len(text.encode()) > MAX_UNIX_PATH:
            raise AddressError(text=text, reason=f"a Unix socket's path has at most {MAX_UNIX_PATH} bytes")
        return UnixPath(text)
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if any(c.isspace() or not c.isprintable() for c in host):
        raise AddressError(text=text, reason="a host has no white space")
    return HostPort(host, parse_port(port, text))


def parse_http_url(text: str, *, no_tls: str = "https does not work here") -> HttpUrl:
    """Read a `http:` URL without user and fragment. `no_tls` is the reason that `https` gets. Raises `AddressError`."""
    if len(text) > MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise AddressError(text=text[:MAX_URL], reason="not a URL")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise AddressError(text=text, reason=str(error)) from error
    if parts.scheme == "https":
        raise AddressError(text=text, reason=no_tls)
    if parts.scheme != "http" or not host:
        raise AddressError(text=text, reason="a URL is http://HOST[:PORT]/PATH")
    if parts.username is not None or parts.fragment or port == 0:
        raise AddressError(text=text, reason="a URL without user, port 0 and fragment is needed")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return HttpUrl(HostPort(host, HTTP_PORT if port is None else port), parts.netloc, target, text)


def parse_port(port: str, text: str) -> int:
    """Read a port number or a TCP service name. `text` is what the error shows. Raises `AddressError`."""
    if port.isascii() and port.isdigit():
        number = int(port)
        if number > MAX_PORT:
            raise AddressError(text=text, reason=f"a port is at most {MAX_PORT}")
        return number
    if not port:
        raise AddressError(text=text, reason="the port is missing")
    try:
        return socket.getservbyname(port, "tcp")
    except (OSError, UnicodeError, ValueError) as error:
        raise AddressError(text=text, reason=f"{port!r} is neither a port number nor a known service") from error


def numeric(host: str, port: int) -> SocketAddress | None:
    """The socket address of a literal; None if `host` is a name or empty. Never asks a resolver."""
    literal, _, zone = host.partition("%")
    try:
        ipaddress.ip_address(literal)
    except ValueError:
        return None
    if not zone:
        return SocketAddress(literal, port)
    try:
        scope = int(zone) if zone.isdecimal() else socket.if_nametoindex(zone)
    except (OSError, ValueError):
        return None
    if scope > MAX_SCOPE:
        return None
    return SocketAddress(literal, port, scope)


def from_sockaddr(sockaddr: object) -> SocketAddress | None:
    """What `getsockname`, `getpeername` or `accept` returned; None for a Unix socket.

    An IPv4 address mapped into IPv6 (a v4 client on a `::` listener) becomes the IPv4 address: comparisons, logs and
    outgoing binds mean that one.
    """
    if not isinstance(sockaddr, tuple) or len(sockaddr) < 2:
        return None
    host, port = str(sockaddr[0]), int(sockaddr[1])
    scope = int(sockaddr[3]) if len(sockaddr) >= 4 else 0
    if ":" in host:
        host = host.partition("%")[0]
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
        if mapped is not None:
            return SocketAddress(str(mapped), port)
    return SocketAddress(host, port, scope)
