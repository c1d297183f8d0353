"""Transparency as a strategy, chosen once per service (manual, option `transparent`).

It answers three questions: how to prepare the listening socket, where a connection was really going, and how to
prepare the outgoing socket. Everything else asks it and does not care which one it is.

The original destination is learnt in one of two ways, and the accepted socket's local address tells which:
- TPROXY hands the connection over as it is: the local address *is* the destination, and differs from the listener's.
- REDIRECT and DNAT rewrite it: the local address is the listener's, and SO_ORIGINAL_DST asks conntrack.
A connection that was made to the listener itself has no other destination; passing it on would connect gtunnel to
itself, for ever. That is refused, and so is a connection that gtunnel itself made and the rules caught (`LoopGuard`).
"""

import contextlib
import errno
import socket
import struct
from typing import ClassVar, Final, Protocol

from gtunnel.address import ClientAddress, OriginalDestination, SocketAddress, from_sockaddr
from gtunnel.conf.settings import Transparency
from gtunnel.net import sockopts
from gtunnel.net.errors import LoopError, OriginError, SocketError, errno_text
from gtunnel.net.loops import LoopGuard
from gtunnel.values import dataclass

_SOCKADDR_IN_BYTES: Final = 16
_SOCKADDR_IN6_BYTES: Final = 28
# getsockopt(SO_ORIGINAL_DST): no conntrack in this kernel, no entry for this connection, not an IP socket.
_NO_NAT = (errno.ENOPROTOOPT, errno.ENOENT, errno.EOPNOTSUPP, errno.ENOTCONN)
WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound
_TAKEN = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A connection as `accept` gave it; `client` and `listener` are None on Unix sockets. Does not own the socket."""

    sock: socket.socket
    client: ClientAddress | None
    listener: SocketAddress | None


class TransparencyStrategy(Protocol):
    """How a service treats addresses."""

    @property
    def finds_destination(self) -> bool:
        """Whether there may be an original destination to ask for."""

    @property
    def keeps_source(self) -> bool:
        """Whether outgoing sockets are to be prepared."""

    def prepare_listener(self, sock: socket.socket) -> None:
        """Set options on a socket before it is bound. Raises `OSError`, `PermissionError` for lack of rights."""

    def destination(self, accepted: "Accepted") -> OriginalDestination | None:
        """Where an accepted connection was going; None for the service's own targets. Raises `OriginError`."""

    def prepare_outgoing(self, sock: socket.socket, client: ClientAddress | None) -> bool:
        """Set options on a socket before it connects, and bind it.

        True if the source address is now bound (then `local` does not apply). Raises `SocketError`.
        """

    def fallback(self) -> "TransparencyStrategy | None":
        """What to try when the kernel finds the outgoing address taken; None if nothing else would help."""


class Opaque:
    """`transparent = none`: connections come from us and go to the service's targets."""

    finds_destination: ClassVar[bool] = False
    keeps_source: ClassVar[bool] = False

    def prepare_listener(self, sock: socket.socket) -> None:
        """Nothing to do."""

    def destination(self, accepted: "Accepted") -> OriginalDestination | None:  # noqa: ARG002
        """The service's targets decide."""
        return None

    def prepare_outgoing(self, sock: socket.socket, client: ClientAddress | None) -> bool:  # noqa: ARG002
        """Nothing to do."""
        return False

    def fallback(self) -> TransparencyStrategy | None:
        """There is nothing to choose."""
        return None


@dataclass(frozen=True, slots=True)
class KeepSource(Opaque):
    """`transparent = source`: the far side sees the client's address."""

    keeps_source: ClassVar[bool] = True

    keep_port: bool = True

    def prepare_outgoing(self, sock: socket.socket, client: ClientAddress | None) -> bool:
        """Bind the client's address.

        With the client's port, as stunnel does, where that is free. Behind NAT or TPROXY (`both`) always with a port
        of the kernel's: with the client's own, the new connection would match the conntrack entry of the old one.
        """
        if client is None:
            raise OriginError(reason="a Unix socket's client has no address to keep")
        if sock.family != client.family:
            raise OriginError(reason=f"the client {client} and the target are of different address families")
        try:
            sockopts.set_transparent(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.keep_port and self._bound(sock, client):
                return True
            # The kernel then chooses the port at connect: one port serves several destinations.
            sock.setsockopt(socket.SOL_IP, sockopts.IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(client.with_port(0).sockaddr)
        except OSError as error:
            raise SocketError.of(f"transparent: bind {client.host}", error) from error
        return True

    def fallback(self) -> TransparencyStrategy | None:
        """Another port: the client's own may be in use towards this very target (a client on this machine)."""
        return KeepSource(keep_port=False) if self.keep_port else None

    @staticmethod
    def _bound(sock: socket.socket, address: SocketAddress) -> bool:
        try:
            sock.bind(address.sockaddr)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True


@dataclass(frozen=True, slots=True)
class KeepDestination(Opaque):
    """`transparent = destination`: connections go where the client meant them to go."""

    finds_destination: ClassVar[bool] = True

    loops: LoopGuard

    def prepare_listener(self, sock: socket.socket) -> None:
        """IP_TRANSPARENT, so that TPROXY can hand connections over. NAT does without."""
        sockopts.set_transparent(sock)

    def destination(self, accepted: Accepted) -> OriginalDestination | None:
        """See the module's text."""
        local = from_sockaddr(accepted.sock.getsockname())
        client, listener = accepted.client, accepted.listener
        if local is None or client is None or listener is None:
            raise OriginError(reason="a Unix socket's connection has no original destination")
        destination = local
        if local.port == listener.port and (local.host == listener.host or listener.host in WILDCARDS):
            # By the family of the peer, not of the socket: a v4 client on a `::` listener went through IPv4's NAT.
            natted = original_destination(accepted.sock, client.family)
            if natted is not None and natted != local:
                destination = natted
            elif is_own(local.host):
                raise LoopError(reason=f"{client} connected to the listener {local} itself: refused, it would loop")
        if self.loops.made(client, destination):
            raise LoopError(
                reason=f"the connection to {destination} is gtunnel's own, caught by the firewall's rules: refused, "
                "it would loop (exclude gtunnel's user or mark from them)"
            )
        return OriginalDestination(destination)


class Redirected(KeepDestination):
    """As `destination`, for who does not ask for it by name: where rights are missing, NAT alone hands over."""

    def prepare_listener(self, sock: socket.socket) -> None:
        """IP_TRANSPARENT, if we may."""
        with contextlib.suppress(PermissionError):
            sockopts.set_transparent(sock)


@dataclass(frozen=True, slots=True)
class KeepBoth:
    """`transparent = both`."""

    finds_destination: ClassVar[bool] = True
    keeps_source: ClassVar[bool] = True

    onward: KeepDestination
    origin: KeepSource

    def prepare_listener(self, sock: socket.socket) -> None:
        """As for `destination`."""
        self.onward.prepare_listener(sock)

    def destination(self, accepted: Accepted) -> OriginalDestination | None:
        """As for `destination`."""
        return self.onward.destination(accepted)

    def prepare_outgoing(self, sock: socket.socket, client: ClientAddress | None) -> bool:
        """As for `source`, with a port of the kernel's."""
        return self.origin.prepare_outgoing(sock, client)

    def fallback(self) -> TransparencyStrategy | None:
        """As for `source`."""
        return self.origin.fallback()


def strategy(transparency: Transparency, loops: LoopGuard) -> TransparencyStrategy:
    """The strategy for a value of the option."""
    onward = KeepDestination(loops)
    strategies: dict[Transparency, TransparencyStrategy] = {
        Transparency.NONE: Opaque(),
        Transparency.SOURCE: KeepSource(),
        Transparency.DESTINATION: onward,
        Transparency.BOTH: KeepBoth(onward, KeepSource(keep_port=False)),
    }
    return strategies[transparency]


def original_destination(sock: socket.socket, family: socket.AddressFamily) -> SocketAddress | None:
    """What conntrack says the connection was for before NAT (SO_ORIGINAL_DST); None if it knows of none.

    `family` is that of the peer's address. Raises `OriginError` for anything unexpected.
    """
    try:
        if family == socket.AF_INET:
            raw = sock.getsockopt(socket.SOL_IP, sockopts.SO_ORIGINAL_DST, _SOCKADDR_IN_BYTES)
            port, address = struct.unpack_from("!2xH4s", raw)
            return SocketAddress(socket.inet_ntop(socket.AF_INET, address), port)
        raw = sock.getsockopt(socket.IPPROTO_IPV6, sockopts.SO_ORIGINAL_DST, _SOCKADDR_IN6_BYTES)
        port, address = struct.unpack_from("!2xH4x16s", raw)
        (scope,) = struct.unpack_from("=I", raw, 24)
        return SocketAddress(socket.inet_ntop(socket.AF_INET6, address), port, scope)
    except OSError as error:
        if error.errno in _NO_NAT:
            return None
        raise OriginError(reason=f"SO_ORIGINAL_DST: {errno_text(error)}") from error


def is_own(host: str) -> bool:
    """Whether an address is this machine's: the kernel then picks the same one as source towards it."""
    if host.startswith("127."):
        return True
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # No packet is sent: connecting a datagram socket only looks up the route.
            probe.connect((host, 9))
        except OSError:
            return False
        return str(probe.getsockname()[0]) == host
