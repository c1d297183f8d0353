"""One connection, from accept to accounting: the spine. `serve` reads like the list in docs/architecture.md.

Every failure ends here, in one place: one line that says what happened, then both legs closed, by RST where the option
`reset` says so, so that each peer learns that it did not get everything.
"""

import traceback
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TypeVar

import gevent
from gevent import GreenletExit

from gtunnel.address import ClientAddress, OriginalDestination, SocketAddress, from_sockaddr
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import opening, patientcheck, resolver, sockopts
from gtunnel.net.conversation import Conversation, UnexpectedCloseError
from gtunnel.net.datagrams import DatagramRelay
from gtunnel.net.dial import Dialled, dial
from gtunnel.net.legs import Leg, PlainLeg, Scratch
from gtunnel.net.names import Target
from gtunnel.net.opening import SilentClientError
from gtunnel.net.program import Program, Programs
from gtunnel.net.rendezvous import Rendezvous
from gtunnel.net.responders import Responders
from gtunnel.net.transparency import Accepted
from gtunnel.net.waiting import Wakeup
from gtunnel.net.wrappers import Wrappers
from gtunnel.tls.diagnosis import explain_alert
from gtunnel.tls.errors import TlsStreamError
from gtunnel.tls.hello import ClientHello
from gtunnel.tunnel import identity, securing
from gtunnel.tunnel.access import Admission, HandshakeTimeoutError, Surroundings, Visitor
from gtunnel.tunnel.census import Register
from gtunnel.tunnel.programs import LOCAL_TARGET, variables
from gtunnel.tunnel.relay import Relay
from gtunnel.tunnel.securing import Secured
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.sessionservers import SessionServers
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.wire import proxyheader
from gtunnel.wire.errors import AuthenticationError, PlaintextError, quoted
from gtunnel.wire.steps import (
    Associate,
    Authenticate,
    Connect,
    Glance,
    Listen,
    Meet,
    Negotiation,
    Resolve,
    Scene,
    Send,
    Side,
    StartTls,
    Step,
)

R = TypeVar("R")


@dataclass(slots=True)
class Workplace:
    """What the connections of one worker share: buffers, the id sequence of all workers, what OCSP responders said,
    where sessions are kept, the programs that run, and who is there. `register` counts them, over all workers, where
    there are limits; `max_connections` is the limit of all services. `wrappers` is there where a service wants to ask
    them."""

    sequence: SharedCounter
    register: Register | None = None
    max_connections: int | None = None
    wrappers: Wrappers | None = None
    scratch: Scratch = field(default_factory=Scratch)
    responders: Responders = field(default_factory=Responders)
    session_servers: SessionServers = field(default_factory=SessionServers)
    programs: Programs = field(default_factory=Programs)
    connections: "set[Connection]" = field(default_factory=set)


class Connection:
    """A connection that a service accepted, or that a program makes. Owns the accepted socket and all that it opens."""

    def __init__(self, service: Service, accepted: Accepted | None, workplace: Workplace) -> None:
        """`accepted` is None where the service's program is the client (exec and connect)."""
        self.service = service
        self.client = accepted.client if accepted is not None else None
        self.started = monotonic()
        self._accepted = accepted
        self._workplace = workplace
        settings = service.settings
        self._identifier = identity.make(settings.log_id, workplace.sequence.next)
        self.log: Log = service.log.named(self._identifier)
        self._wakeup = Wakeup()
        self._near: Leg | None = None  # towards the client
        self._far: Leg | None = None  # towards the target
        self._dialled: Dialled | None = None
        self._program: Program | None = None
        self._destination: OriginalDestination | None = None
        self._admission = Admission(workplace.register, workplace.wrappers)
        self._talks: dict[Side, Conversation] = {}
        self._scene = Scene(client=self.client)
        self._relay: Relay | None = None
        self._secured: Secured | None = None
        self._rendezvous: Rendezvous | None = None
        self._datagrams: DatagramRelay | None = None
        self._done = False  # the last word has been said
        self._greeted = False
        self._silent = False

    def serve(self) -> None:
        """Serve it to its end. Raises nothing but `GreenletExit`, when the worker stops."""
        connections = self._workplace.connections
        connections.add(self)
        reset = self.service.settings.reset
        failed = True
        try:
            self._serve()
            failed = False
        except SilentClientError as error:
            # With a protocol before TLS it was greeted, and its end belongs to that; otherwise it is nobody.
            self._silent = not self._greeted
            level = error.level if self._silent else Level.ERR
            self.log.write(level, f"{error} (from {self.peer})")
        except GtunnelError as error:
            self._greet()
            self.log.write(error.level, str(error))
        except GreenletExit:
            raise
        except Exception:  # noqa: BLE001 - a bug, not an event: say so with all that is known, and go on serving others
            for line in traceback.format_exc().splitlines():
                self.log.write(Level.ERR, f"INTERNAL ERROR: {line}")
        finally:
            connections.discard(self)
            self._close(reset=failed and reset)
            self._account(failed=failed)

    def _serve(self) -> None:
        """The path of a connection."""
        with self._limit():
            self._begin()
            if self._accepted is not None:
                self._find_origin(self._accepted)
                self._find_client(self._accepted)
                self._admit(self._accepted)
            self._negotiate(self.service.negotiate(self._scene))
        self._transfer()

    def _limit(self) -> AbstractContextManager[object]:
        """The time that all but the relay may take."""
        seconds = self.service.settings.timeouts.handshake
        if seconds is None:
            return nullcontext()
        return gevent.Timeout(seconds, HandshakeTimeoutError(seconds=seconds))

    def _find_client(self, accepted: Accepted) -> None:
        """Who it is, where a load balancer says so. From here on, this is the client, for everybody."""
        if not self.service.settings.protocol.proxy.sends(self.client):
            return
        sender = self.peer
        try:
            ends = self._ask(proxyheader.read())
        except UnexpectedCloseError as error:
            raise SilentClientError(how="the connection was closed before its PROXY header") from error
        if ends is not None:
            self.client = ClientAddress(ends.client)
            self._accepted = replace(accepted, client=self.client)
            self._scene.client, self._scene.listener = self.client, ends.reached
            self.log.write(Level.INFO, f"PROXY header: {sender} connects for {self.peer}, who reached {ends.reached}")

    def _ask(self, reading: Generator[Step, bytes, R]) -> R:
        """Take the steps of something that is read before all else."""
        try:
            step = next(reading)
            while True:
                step = reading.send(self._take(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _find_origin(self, accepted: Accepted) -> None:
        self._destination = self.service.transparency.destination(accepted)
        if self._destination is not None:
            self._scene.destination = self._destination
            self.log.write(Level.INFO, f"Original destination is {self._destination}")

    def _admit(self, accepted: Accepted) -> None:
        """Let it in, or not: as the service that it is now."""
        access, service = self._admission, self.service
        if not (access.concerns(service) or self._workplace.max_connections):
            return
        visitor = Visitor(client=self.client, listener=from_sockaddr(accepted.sock.getsockname()))
        surroundings = Surroundings(self._workplace.scratch, self._wakeup, self.log)
        try:
            access.count(service, visitor, everywhere=self._workplace.max_connections)
            access.check(service, visitor, surroundings)
        except GtunnelError:
            # Who is refused was not accepted.
            self._greeted = True
            raise

    def _begin(self) -> None:
        self.log.write(Level.DEBUG, f"Service [{self.service.name}] started")
        if self._accepted is None:
            self._near = self._run_program()
            return
        sockopts.apply(self._accepted.sock, self.service.settings.sockets.local, "local", self.log)
        self._near = PlainLeg(self._accepted.sock, self._wakeup)
        if self.service.settings.protocol.name is not None:
            self._scene.listener = from_sockaddr(self._accepted.sock.getsockname())

    def _run_program(self) -> Leg:
        """Start the service's program; our end of the connection to it."""
        launch = self.service.launch
        if launch is None:
            raise TypeError("a connection without a client, of a service without a program")
        told = variables(self._accepted, None if self._secured is None else self._secured.leg.engine)
        self._program, ends = self._workplace.programs.start(launch, told, self.log)
        return ends.leg(self._wakeup)

    def _greet(self) -> None:
        """Say who is there: at once, or where the client is to speak first, when it does."""
        if not self._greeted:
            self._greeted = True
            self.log.write(Level.NOTICE, f"Service [{self.service.name}] accepted connection from {self.peer}")

    def _negotiate(self, negotiation: Negotiation) -> None:
        """Take a protocol's steps. What one fails with is the protocol's to comment on before it is ours."""
        try:
            step = next(negotiation)
            if not isinstance(step, StartTls) or self.service.settings.client:
                self._greet()
            while True:
                try:
                    answer = self._take(step)
                except GtunnelError as error:
                    step = negotiation.throw(error)
                else:
                    step = negotiation.send(answer)
        except StopIteration:
            return

    def _take(self, step: Step) -> bytes:
        if isinstance(step, StartTls):
            self._start_tls()
        elif isinstance(step, Connect):
            self._connect(step)
        elif isinstance(step, Resolve):
            found = resolver.lookup(step.target)
            self._scene.resolved = tuple(address for address in found if isinstance(address, SocketAddress))
        elif isinstance(step, Authenticate):
            self._authenticate(step)
        elif isinstance(step, Listen | Meet | Associate):
            self._wait_outside(step)
        elif isinstance(step, Glance):
            return self._talk(step.side).glance(self._leg(step.side))
        elif isinstance(step, Send):
            self._send(step)
        else:
            return self._talk(step.side).receive(self._leg(step.side), step, self.log)
        return b""

    def _wait_outside(self, step: Listen | Meet | Associate) -> None:
        """The other ways to a target than to connect to it."""
        if isinstance(step, Listen):
            self._rendezvous = Rendezvous(step.host, self._wakeup)
            self._scene.bound = self._rendezvous.address
        elif isinstance(step, Associate) and self.client is not None:
            self._datagrams = DatagramRelay(step.host, self.client, step.admit, self._wakeup)
            self._scene.bound = self._datagrams.address
        elif isinstance(step, Meet) and self._rendezvous is not None:
            self._far, self._scene.peer = self._rendezvous.meet(step.hosts, self.service.settings.timeouts.busy)
            self.log.write(Level.NOTICE, f"Service [{self.service.name}] was connected by {self._scene.peer}")

    def _authenticate(self, step: Authenticate) -> None:
        users, name = self.service.users, step.name.decode("utf-8", "backslashreplace")
        if users is None or not patientcheck.check(users.accept, step.name, step.password):
            raise AuthenticationError(protocol="socks", name=name)
        self.log.write(Level.NOTICE, f"SOCKS user: {name}")

    def _send(self, step: Send) -> None:
        leg = self._leg(step.side)
        self._talk(step.side).send(leg, step, self.log)
        if step.farewell:
            self._done = True
            leg.spare()

    def _talk(self, side: Side) -> Conversation:
        if side not in self._talks:
            seconds = self.service.settings.timeouts.busy
            self._talks[side] = Conversation(side, self._workplace.scratch, self._wakeup, seconds)
        return self._talks[side]

    def _leg(self, side: Side) -> Leg:
        leg = self._near if side is Side.CLIENT else self._far
        if leg is None:
            raise TypeError("a protocol talks to a target that is not connected")
        return leg

    def _unread(self, side: Side) -> bytes:
        """What a side has said beyond the negotiation."""
        return self._talks[side].take_rest() if side in self._talks else b""

    def _start_tls(self) -> None:
        client = self.service.settings.client
        plain = self._far if client else self._near
        if not isinstance(plain, PlainLeg):
            raise TypeError("a protocol started TLS on a leg that is not there, or twice")
        if client:
            self._connect_tls(plain, LOCAL_TARGET if self._dialled is None else self._dialled.target)
        else:
            self._accept_tls(plain)

    def _accept_tls(self, plain: PlainLeg) -> None:
        """TLS towards the client. Its server name may make it another service's."""
        deadline = monotonic() + self.service.settings.timeouts.busy
        began = self._unread(Side.CLIENT)
        reader = opening.receive(plain, self._wakeup, self._workplace.scratch, deadline - monotonic(), began)
        self._greet()
        if self.service.virtual:
            self._switch(reader.hello())
        self._secured = securing.accept(self.service, plain, reader, self._tools, deadline - monotonic())
        self._near = self._secured.leg
        self._scene.redirected = self._secured.unconvincing
        settings = self.service.settings
        if settings.protocol.tells_tls:
            self._scene.tls = self._secured.leg.engine.facts(demanding=settings.verification.convincing)

    def _connect_tls(self, plain: PlainLeg, target: Target) -> None:
        """TLS towards the target."""
        if began := self._unread(Side.TARGET):
            raise PlaintextError(count=len(began), words=quoted(began))
        target = Target(target.address, self.service.settings.protocol.tls_peer or target.host)
        self._secured = securing.connect(self.service, plain, target, self._tools)
        self._far = self._secured.leg

    @property
    def _tools(self) -> securing.Tools:
        workplace = self._workplace
        return securing.Tools(
            scratch=workplace.scratch,
            wakeup=self._wakeup,
            responders=workplace.responders,
            session_servers=workplace.session_servers,
            log=self.log,
        )

    def _switch(self, hello: ClientHello | None) -> None:
        """Go on as the service that serves the name that the client asks for."""
        server_name = None if hello is None else hello.server_name
        if server_name is None:
            self.log.write(Level.DEBUG, "SNI: no servername was requested")
            return
        self.log.write(Level.INFO, f"SNI: requested servername: {server_name}")
        service = self.service.for_name(server_name)
        if service is None:
            self.log.write(Level.ERR, f"SNI: no pattern matched servername: {server_name}")
            return
        self.log = self.log if service.log is self.service.log else service.log.named(self._identifier)
        self.service = service
        self.log.write(Level.NOTICE, f"SNI: switched to service [{service.name}]")
        # As stunnel does: the primary's checks let it in, the secondary has its own.
        if self._accepted is not None:
            self._admit(self._accepted)

    def _connect(self, step: Connect) -> None:
        service = self.service
        if self._scene.redirected and service.redirected is not None:
            targets: Iterable[Target] = service.redirected.candidates(resolver.lookup, self.log)
        elif step.addresses:
            targets = [Target(address, None) for address in step.addresses]
        elif step.target is not None:
            targets = [Target(address, None) for address in resolver.lookup(step.target)]
        elif self._destination is not None and not service.settings.protocol.carries_destination:
            targets = [Target(self._destination, None)]
        elif service.launch is not None and self._program is None:
            self._far = self._run_program()
            return
        else:
            targets = service.targets.candidates(resolver.lookup, self.log)
        self._dialled = dial(service.outgoing, targets, self.client, self._wakeup, self.log)
        self._far = self._dialled.leg
        self._scene.bound = self._dialled.local
        local = self._dialled.local or "unnamed socket"
        self.log.write(Level.NOTICE, f"Service [{service.name}] connected remote server from {local}")

    def _transfer(self) -> None:
        if self._near is not None and self._datagrams is not None:
            self._datagrams.run(self._near, self.service.settings.timeouts.idle, self.log)
            self._near.finish()
            return
        if self._done:
            return
        if self._near is None or self._far is None:
            raise RuntimeError("a protocol ended without a target")
        self._relay = Relay.between(self._near, self._far)
        self._relay.forth.held = self._unread(Side.CLIENT)
        self._relay.back.held = self._unread(Side.TARGET)
        timeouts = self.service.settings.timeouts
        try:
            ended = self._relay.run(self._workplace.scratch, self._wakeup, timeouts)
        except TlsStreamError as error:
            raise error.explained(explain_alert(str(error), self.service.settings)) from error
        if not ended:
            self.log.write(Level.INFO, "transfer: s_poll_wait: TIMEOUTclose exceeded: closing")

    @property
    def peer(self) -> str:
        """The client, for the log."""
        if self._accepted is None:
            return "a program" if self._program is None else f"program {self._program.pid}"
        return str(self.client) if self.client is not None else "unnamed socket"

    @property
    def sent(self) -> tuple[int, int]:
        """Bytes sent to TLS, and to the socket."""
        if self._relay is None:
            return (0, 0)
        forth, back = self._relay.forth.count, self._relay.back.count
        return (forth, back) if self.service.settings.client else (back, forth)

    def _close(self, *, reset: bool) -> None:
        if self._secured is not None:
            self._secured.leave(self.log)
        for leg in (self._near, self._far):
            if leg is not None:
                leg.close(reset=reset)
        if self._near is None and self._accepted is not None:
            self._accepted.sock.close()
        if self._program is not None:
            # One that has ended its output may have work left to do; one that has not learns so that it is over.
            ended = self._relay is not None and self._relay.ended(self._far if self._accepted else self._near)
            self._program.leave(self.service.settings.timeouts.close if ended and not reset else 0)
        for waiting in (self._rendezvous, self._datagrams):
            if waiting is not None:
                waiting.close()
        self._wakeup.close()
        self._admission.leave()
        self._forget()

    def _forget(self) -> None:
        dialled, loops = self._dialled, self.service.outgoing.loops
        if loops is not None and dialled is not None and dialled.local is not None:
            address = dialled.target.address
            if isinstance(address, SocketAddress):
                loops.forget(dialled.local, address)

    def _account(self, *, failed: bool) -> None:
        to_tls, to_socket = self.sent
        how = "reset" if failed else "closed"
        level = Level.DEBUG if self._silent else Level.NOTICE
        self.log.write(
            level, f"Connection {how}: {to_tls} byte(s) sent to TLS, {to_socket} byte(s) sent to socket"
        )
        left = len(self._workplace.connections)
        self.log.write(Level.DEBUG, f"Service [{self.service.name}] finished ({left} left)")


def client_address(address: SocketAddress | None) -> ClientAddress | None:
    """The peer of an accepted socket, as such."""
    return ClientAddress(address) if address is not None else None
