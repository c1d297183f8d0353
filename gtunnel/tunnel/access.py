"""Who is let in: limits, TCP wrappers, ident. Asked before anything is said to a client (manual: libwrap and ident)."""

from dataclasses import field

from gtunnel.address import SocketAddress
from gtunnel.conf.settings import Transparency
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net.conversation import Conversation
from gtunnel.net.dial import dial
from gtunnel.net.errors import NoTargetError
from gtunnel.net.legs import Scratch
from gtunnel.net.names import Target
from gtunnel.net.outgoing import Outgoing
from gtunnel.net.transparency import Opaque
from gtunnel.net.waiting import Wakeup
from gtunnel.net.wrappers import Wrappers
from gtunnel.tunnel.census import Register, neighbourhood
from gtunnel.tunnel.service import Service
from gtunnel.values import dataclass
from gtunnel.wire import ident
from gtunnel.wire.steps import ReceiveLine, Send, Side


class RefusedError(GtunnelError):
    """A client that is not let in. The wording is stunnel's."""

    template = "{reason}"
    level = Level.WARNING


class HandshakeTimeoutError(GtunnelError):
    """What comes before the relay took longer than `handshakeTimeout`."""

    template = "handshakeTimeout exceeded: no relay after {seconds:g} seconds: sending reset"
    level = Level.INFO


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who asks to be let in, and where it knocked. `client` is None on a Unix socket, which has no address to check."""

    client: SocketAddress | None
    listener: SocketAddress | None


@dataclass(slots=True)
class Admission:
    """What is asked about one connection. Remembers what it was counted as, until `leave`."""

    register: Register | None
    wrappers: Wrappers | None
    _counted: list[bytes] = field(default_factory=list)

    def count(self, service: Service, visitor: Visitor, *, everywhere: int | None) -> None:
        """Count a connection where there are limits. `everywhere`: the limit of all services. Raises `RefusedError`."""
        access, name = service.settings.access, service.settings.section.encode()
        self._enter(b"process", everywhere, "clients")
        self._enter(b"service " + name, access.connections, f"clients of service [{service.name}]")
        if visitor.client is not None and access.per_ip is not None:
            network = neighbourhood(visitor.client)
            self._enter(b"client " + name + b"\0" + network.encode(), access.per_ip, f"connections from {network}")

    def _enter(self, key: bytes, limit: int | None, what: str) -> None:
        if limit is None or self.register is None or key in self._counted:
            return
        if not self.register.enter(key, limit):
            raise RefusedError(reason=f"Connection rejected: too many {what} (>={limit})")
        self._counted.append(key)

    def leave(self) -> None:
        """The connection has ended."""
        while self._counted and self.register is not None:
            self.register.leave(self._counted.pop())

    def check(self, service: Service, visitor: Visitor, surroundings: "Surroundings") -> None:
        """Ask TCP wrappers and the client's ident server, as the service wants it. Raises `GtunnelError`."""
        access, log = service.settings.access, surroundings.log
        client = visitor.client
        if client is None:
            return
        if access.libwrap:
            if self.wrappers is None:
                raise RuntimeError("libwrap = yes, and nobody to ask")
            seconds = service.settings.timeouts.busy
            # hosts_access(5) knows services by what stands in the brackets.
            if not self.wrappers.permits(service.settings.section, client, visitor.listener, seconds):
                log.write(Level.DEBUG, "See hosts_access(5) manual for details")
                raise RefusedError(reason=f"Service [{service.name}] REFUSED by libwrap from {client}")
            log.write(Level.DEBUG, f"Service [{service.name}] permitted by libwrap from {client}")
        if access.ident is not None:
            _ask_ident(service, access.ident, client, visitor.listener, surroundings)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a connection's checks work with."""

    scratch: Scratch
    wakeup: Wakeup
    log: Log


def _ask_ident(
    service: Service, wanted: str, client: SocketAddress, listener: SocketAddress | None, surroundings: Surroundings
) -> None:
    log, settings = surroundings.log, service.settings
    if listener is None:
        raise ident.IdentError(reason="IDENT needs a connection of TCP")
    # From where the client connected to: RFC 1413 wants the same pair of addresses.
    outgoing = Outgoing(
        seconds=settings.timeouts.connect,
        options=settings.sockets.remote,
        strategy=Opaque(),
        local=listener.host if settings.transparency is Transparency.NONE else None,
        mark=service.outgoing.mark,
        loops=None,
    )
    target = Target(client.with_port(ident.PORT), None)
    try:
        dialled = dial(outgoing, [target], None, surroundings.wakeup, log)
    except NoTargetError as error:
        raise ident.IdentError(reason=f"No IDENT server at {target}") from error
    try:
        log.write(Level.DEBUG, "IDENT server connected")
        talk = Conversation(Side.CLIENT, surroundings.scratch, surroundings.wakeup, settings.timeouts.busy)
        talk.send(dialled.leg, Send(Side.CLIENT, ident.question(client, listener)), log)
        answer = talk.receive(dialled.leg, ReceiveLine(Side.CLIENT, ident.MAX_ANSWER), log)
    finally:
        dialled.leg.close(reset=False)
    user = ident.user(answer, client, listener)
    if user != wanted:
        raise RefusedError(reason=f'Connection from {client} REFUSED by IDENT (user "{user}")')
    log.write(Level.INFO, "IDENT authentication passed")
