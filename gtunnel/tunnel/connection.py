"""One connection, from accept to accounting: the spine. `serve` reads like the list in docs/architecture.md.

Every failure ends here, in one place: one line that says what happened, then both legs closed, by RST where the option
`reset` says so, so that each peer learns that it did not get everything.
"""

import traceback
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from time import monotonic
from typing import Protocol, TypeVar

import gevent
from gevent import GreenletExit

from gtunnel.address import ClientAddress, SocketAddress, from_sockaddr
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import opening, patientcheck, resolver
from gtunnel.net.conversation import UnexpectedCloseError
from gtunnel.net.legs import PlainLeg
from gtunnel.net.names import Target
from gtunnel.net.opening import SilentClientError
from gtunnel.net.transparency import Accepted
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.diagnosis import explain_alert
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsStreamError
from gtunnel.tls.hello import ClientHello, HelloReader
from gtunnel.tunnel import accessline, endings, identity, particulars, securing
from gtunnel.tunnel.access import Admission, HandshakeTimeoutError, Surroundings, Visitor
from gtunnel.tunnel.endings import Ending
from gtunnel.tunnel.programs import LOCAL_TARGET
from gtunnel.tunnel.relay import Relay
from gtunnel.tunnel.securing import Secured, Tools
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.sides import Sides
from gtunnel.tunnel.workplace import Workplace
from gtunnel.wire import plain as plain_negotiation
from gtunnel.wire import proxyheader
from gtunnel.wire.errors import AuthenticationError, PlaintextError, quoted
from gtunnel.wire.steps import (
    Associate,
    Authenticate,
    Connect,
    Listen,
    Meet,
    Negotiation,
    Resolve,
    Send,
    Side,
    StartTls,
    Step,
)

R = TypeVar("R")


class LateRedirectError(GtunnelError):
    """A client that does not convince, and is connected to the target already: the service for its name would redirect
    it, but the primary one's protocol has connected before TLS."""

    template = "redirect: the protocol of the primary service has connected this client before TLS: refused"


class Host(Protocol):
    """Who starts the greenlets of connections."""

    def left(self, connection: "Connection") -> None:
        """It lives on without a greenlet: this one ends."""

    def resume(self, connection: "Connection") -> None:
        """It needs one again, which is to call its `resume`. Must not wait."""


class Connection:
    """A connection that a service accepted, or that a program makes. Owns the accepted socket and all that it opens."""

    def __init__(
        self, service: Service, accepted: Accepted | None, workplace: Workplace, host: Host | None = None
    ) -> None:
        """`accepted` is None where the service's program is the client (exec and connect). Without a `host`, it has its
        greenlet from its beginning to its end."""
        self.service = service
        self._host = host
        self.started = monotonic()
        self._workplace = workplace
        self.identifier = identity.make(service.settings.log_id, workplace.sequence.next)
        self.log: Log = service.log.named(self.identifier)
        self._wakeup = Wakeup()
        self.sides = Sides(accepted, workplace, self._wakeup)
        self._admission: Admission | None = None
        self.relay: Relay | None = None
        self._secured: Secured | None = None
        self._opening: HelloReader | None = None
        self._greeted = False
        self._silent = False

    def serve(self) -> None:
        """Serve it: to its end, or until its host is told that it is left. Raises nothing but `GreenletExit`, when the
        worker stops."""
        self._workplace.connections.add(self)
        self._carry_on(self._serve)

    def resume(self) -> None:
        """Go on with a connection that was left, as `serve` does."""
        self._carry_on(self._relay_again)

    def stop(self) -> None:
        """End a connection that was left, as a greenlet of its own ends that is killed. Raises `GreenletExit`."""
        self._carry_on(self._exit)

    def _carry_on(self, work: Callable[[], Ending | None]) -> None:
        """Do what is next. Where that was the end (it is not None), close and account for it."""
        reset = self.service.settings.reset
        failed = True
        ending: Ending | None = endings.STOPPED
        try:
            ending = work()
            failed = False
        except SilentClientError as error:
            ending = endings.of(error)
            # With a protocol before TLS it was greeted, and its end belongs to that; otherwise it is nobody.
            self._silent = not self._greeted
            level = error.level if self._silent else Level.ERR
            self.log.write(level, f"{error} (from {self.peer})")
        except GtunnelError as error:
            ending = endings.of(error)
            self._greet()
            self.log.write(error.level, str(error))
        except GreenletExit:
            raise
        except Exception:  # noqa: BLE001 - a bug, not an event: say so with all that is known, and go on serving others
            ending = endings.BUG
            self._tell_bug()
        finally:
            if ending is not None:
                self._workplace.connections.discard(self)
                self._close(reset=failed and reset)
                self._account(ending, failed=failed)

    def _tell_bug(self) -> None:
        for line in traceback.format_exc().splitlines():
            self.log.write(Level.ERR, f"INTERNAL ERROR: {line}")

    def _serve(self) -> Ending | None:
        """The path of a connection."""
        seconds = self.service.settings.timeouts.handshake
        if seconds is None:
            self._prepare()
        else:
            with gevent.Timeout(seconds, HandshakeTimeoutError(seconds=seconds)):
                self._prepare()
        return self._transfer()

    def _prepare(self) -> None:
        """All but the relay. What a service has no use for is not called: new connections are dear."""
        service, sides = self.service, self.sides
        if self.log.threshold >= Level.DEBUG:
            self.log.write(Level.DEBUG, f"Service [{service.name}] started")
        sides.begin(service, self.log)
        if sides.accepted is not None:
            if service.transparency.finds_destination:
                self._find_origin(sides.accepted)
            if service.fronted:
                self._find_client(sides.accepted)
            if service.selective or self._workplace.max_connections:
                self._admit(sides.accepted)
        self._negotiate(service)

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
            client = ClientAddress(ends.client)
            self.sides.accepted = replace(accepted, client=client)
            self.sides.scene.client, self.sides.scene.listener = client, ends.reached
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
        destination = self.service.transparency.destination(accepted)
        if destination is not None:
            self.sides.scene.destination = destination
            self.log.write(Level.INFO, f"Original destination is {destination}")

    def _admit(self, accepted: Accepted) -> None:
        """Let it in, or not: as the service that it is now."""
        service, workplace = self.service, self._workplace
        access = self._admission = self._admission or Admission(workplace.register, workplace.wrappers)
        visitor = Visitor(client=self.client, listener=from_sockaddr(accepted.sock.getsockname()))
        surroundings = Surroundings(workplace.scratch, self._wakeup, self.log)
        try:
            access.count(service, visitor, everywhere=workplace.max_connections)
            access.check(service, visitor, surroundings)
        except GtunnelError:
            # Who is refused was not accepted.
            self._greeted = True
            raise

    def _greet(self) -> None:
        """Say who is there: at once, or where the client is to speak first, when it does."""
        if not self._greeted:
            self._greeted = True
            if self.log.threshold >= Level.NOTICE:
                self.log.write(Level.NOTICE, f"Service [{self.service.name}] accepted connection from {self.peer}")

    def _negotiate(self, service: Service) -> None:
        """Take a protocol's steps. What one fails with is the protocol's to comment on before it is ours."""
        negotiation = service.negotiate(self.sides.scene)
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
                    if self.service is not service:
                        negotiation, service = self._switched(negotiation, service), self.service
                    step = negotiation.send(answer)
        except StopIteration:
            return

    def _switched(self, negotiation: Negotiation, primary: Service) -> Negotiation:
        """What follows TLS, where the client's server name has made the connection another service's.

        A negotiation that began before TLS goes on; whatever the other service has to say came too late for it.
        """
        if not primary.settings.protocol.begins_with_tls:
            return negotiation
        negotiation.close()
        own = self.service.settings.protocol.begins_with_tls
        scene = self.sides.scene
        negotiation = self.service.negotiate(scene) if own else plain_negotiation.server(ProtocolSettings(), scene)
        next(negotiation)
        return negotiation

    def _take(self, step: Step) -> bytes:
        sides, settings = self.sides, self.service.settings
        if isinstance(step, StartTls):
            self._start_tls()
        elif isinstance(step, Connect):
            engine = None if self._secured is None else self._secured.engine
            sides.connect(self.service, step, engine, self.log)
        elif isinstance(step, Resolve):
            found = resolver.lookup(step.target)
            sides.scene.resolved = tuple(address for address in found if isinstance(address, SocketAddress))
        elif isinstance(step, Authenticate):
            self._authenticate(step)
        elif isinstance(step, Listen | Meet | Associate):
            sides.wait_outside(self.service, step, self.log)
        elif isinstance(step, Send):
            sides.send(settings, step, self.log)
        else:
            return sides.receive(settings, step, self.log)
        return b""

    def _authenticate(self, step: Authenticate) -> None:
        users, name = self.service.users, step.name.decode("utf-8", "backslashreplace")
        if users is None or not patientcheck.check(users.accept, step.name, step.password):
            raise AuthenticationError(protocol="socks", name=name)
        self.log.write(Level.NOTICE, f"SOCKS user: {name}")

    def _start_tls(self) -> None:
        client = self.service.settings.client
        sides = self.sides
        plain = sides.far if client else sides.near
        if not isinstance(plain, PlainLeg):
            raise TypeError("a protocol started TLS on a leg that is not there, or twice")
        if client:
            self._connect_tls(plain, LOCAL_TARGET if sides.dialled is None else sides.dialled.target)
        else:
            self._accept_tls(plain)

    def _accept_tls(self, plain: PlainLeg) -> None:
        """TLS towards the client. Its server name may make it another service's."""
        seconds = self.service.settings.timeouts.busy
        deadline = monotonic() + seconds
        began = self.sides.unread(Side.CLIENT)
        reader = opening.receive(plain, self._wakeup, self._workplace.scratch, seconds, began)
        self._greet()
        # Of a handshake that fails, this is all that tells which name the client wanted.
        self._opening = None if self._workplace.account is None else reader
        if self.service.virtual:
            self._switch(reader.hello())
        tools = Tools(self._workplace, self._wakeup, self.log)
        self._secured = securing.accept(self.service, plain, reader, tools, deadline - monotonic())
        self._opening = None
        self.sides.near = self._secured.leg
        if self._secured.unconvincing and self.sides.far is not None:
            raise LateRedirectError
        self.sides.scene.redirected = self._secured.unconvincing
        if self.service.tells_tls:
            demanding = self.service.settings.verification.convincing
            self.sides.scene.tls = self._secured.engine.facts(demanding=demanding)

    def _connect_tls(self, plain: PlainLeg, target: Target) -> None:
        """TLS towards the target."""
        if began := self.sides.unread(Side.TARGET):
            raise PlaintextError(count=len(began), words=quoted(began))
        target = Target(target.address, self.service.settings.protocol.tls_peer or target.host)
        self._secured = securing.connect(self.service, plain, target, Tools(self._workplace, self._wakeup, self.log))
        self.sides.far = self._secured.leg

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
        self.log = self.log if service.log is self.service.log else service.log.named(self.identifier)
        self.service = service
        self.log.write(Level.NOTICE, f"SNI: switched to service [{service.name}]")
        # As stunnel does: the primary's checks let it in, the secondary has its own.
        if self.sides.accepted is not None:
            if self.sides.scene.destination is None:
                self._find_origin(self.sides.accepted)
            if service.selective or self._workplace.max_connections:
                self._admit(self.sides.accepted)

    def _transfer(self) -> Ending | None:
        sides = self.sides
        if sides.near is not None and sides.datagrams is not None:
            sides.datagrams.run(sides.near, self.service.settings.timeouts.idle, self.log)
            sides.near.finish()
            return endings.ORDERLY
        if sides.said_farewell:
            return endings.ORDERLY
        self.relay = sides.relay(self.service, self.log)
        return self._relay_on()

    @staticmethod
    def _exit() -> Ending:
        raise GreenletExit

    def _relay_again(self) -> Ending | None:
        return self._relay_on(again=True)

    def _relay_on(self, *, again: bool = False) -> Ending | None:
        """From the relay's beginning, or `again` from where it was left. None: it is left."""
        relay, host = self.relay, self._host
        if relay is None:
            raise RuntimeError("a connection was left before its relay")
        resume = None if host is None else partial(host.resume, self)
        try:
            if again:
                relay.take_up(self._wakeup)
            ended = relay.run(self._workplace.scratch, self._wakeup, self.service.settings.timeouts, resume)
        except TlsStreamError as error:
            explanation = explain_alert(str(error), self.service.settings)
            if not explanation:
                raise
            raise error.explained(explanation) from error
        if ended is None and host is not None:
            host.left(self)
            return None
        if ended:
            return endings.ORDERLY
        self.log.write(Level.INFO, "transfer: s_poll_wait: TIMEOUTclose exceeded: closing")
        return endings.HALF_CLOSED

    @property
    def client(self) -> ClientAddress | None:
        """Who it is: None for a program, and on a Unix socket."""
        accepted = self.sides.accepted
        return None if accepted is None else accepted.client

    @property
    def engine(self) -> TlsEngine | None:
        """The TLS of the leg that has it; None before its handshake is done."""
        return None if self._secured is None else self._secured.engine

    @property
    def server_name(self) -> str | None:
        """The name that was asked for in TLS, also if its handshake has failed."""
        if self._secured is not None:
            return self._secured.engine.server_name
        hello = None if self._opening is None else self._opening.hello()
        return None if hello is None else hello.server_name

    @property
    def peer(self) -> str:
        """The client, for the log."""
        if self.sides.accepted is None:
            program = self.sides.program
            return "a program" if program is None else f"program {program.pid}"
        return str(self.client) if self.client is not None else "unnamed socket"

    @property
    def sent(self) -> tuple[int, int]:
        """Bytes sent to TLS, and to the socket."""
        if self.relay is None:
            return (0, 0)
        forth, back = self.relay.forth.count, self.relay.back.count
        return (forth, back) if self.service.settings.client else (back, forth)

    def _close(self, *, reset: bool) -> None:
        secured = self._secured
        if secured is not None and secured.remembered is not None:
            # The session that the server gave last is kept.
            secured.remembered.leave(secured.engine, self.log)
        self.sides.close(self.service, self.relay, reset=reset)
        self._wakeup.close()
        if self._admission is not None:
            self._admission.leave()

    def _account(self, ending: Ending, *, failed: bool) -> None:
        if self.log.threshold >= Level.NOTICE:
            to_tls, to_socket = self.sent
            how = "reset" if failed else "closed"
            level = Level.DEBUG if self._silent else Level.NOTICE
            self.log.write(
                level, f"Connection {how}: {to_tls} byte(s) sent to TLS, {to_socket} byte(s) sent to socket"
            )
            left = len(self._workplace.connections)
            self.log.write(Level.DEBUG, f"Service [{self.service.name}] finished ({left} left)")
        if self._workplace.account is not None:
            try:
                self._workplace.account(accessline.line(particulars.of(self), ending))
            except Exception:  # noqa: BLE001 - as above, and the connection is closed by now
                self._tell_bug()


def client_address(address: SocketAddress | None) -> ClientAddress | None:
    """The peer of an accepted socket, as such."""
    return ClientAddress(address) if address is not None else None
