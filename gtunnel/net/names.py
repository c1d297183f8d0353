"""Host names to addresses, by the system's resolver, blocking. Nothing here knows gevent: the supervisor uses it when a
configuration is compiled; a worker calls it through its thread pool (`resolver`).
"""

import socket

from gtunnel.address import Endpoint, HostPort, SocketAddress, UnixPath, from_sockaddr
from gtunnel.net.errors import ResolveError
from gtunnel.values import dataclass

# The host of `connect = PORT` and of `accept = PORT` (manual, options accept and connect).
LOOPBACK = "127.0.0.1"
ANY = "0.0.0.0"  # noqa: S104 - the manual's default: all IPv4 addresses

Address = SocketAddress | UnixPath


@dataclass(frozen=True, slots=True)
class Target:
    """One address to connect to, and the host that the configuration named for it (None: an original destination)."""

    address: Address
    host: str | None

    def __str__(self) -> str:
        return str(self.address)


def lookup(endpoint: Endpoint, *, default_host: str) -> tuple[Address, ...]:
    """All addresses of an endpoint, in the resolver's order, without doubles. Raises `ResolveError`.

    A literal never reaches the resolver. An empty host means `default_host`, which must be a literal.
    """
    if isinstance(endpoint, UnixPath):
        return (endpoint,)
    endpoint = HostPort(endpoint.host or default_host, endpoint.port)
    literal = endpoint.literal
    if literal is not None:
        return (literal,)
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise ResolveError(host=endpoint.host, reason=error.strerror or error) from error
    except (OSError, UnicodeError) as error:
        raise ResolveError(host=endpoint.host, reason=error) from error
    addresses = (from_sockaddr(entry[4]) for entry in found)
    return tuple(dict.fromkeys(address for address in addresses if address is not None))
