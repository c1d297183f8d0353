"""Both sides of one connection: its legs, what is said with them before the relay, and how the far one comes about."""

from collections.abc import Iterable
from functools import partial

from gtunnel.address import SocketAddress, from_sockaddr
from gtunnel.conf.settings import ServiceSettings
from gtunnel.events import Level, Log
from gtunnel.net import resolver, sockopts
from gtunnel.net.conversation import Conversation
from gtunnel.net.datagrams import DatagramRelay
from gtunnel.net.dial import Dialled, dial
from gtunnel.net.kernelleg import KernelTlsLeg
from gtunnel.net.legs import Leg, PlainLeg
from gtunnel.net.names import Target
from gtunnel.net.program import Program
from gtunnel.net.rendezvous import Rendezvous
from gtunnel.net.transparency import Accepted
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.engine import TlsEngine
from gtunnel.tunnel.programs import variables
from gtunnel.tunnel.relay import Relay
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.takeover import KernelRelay
from gtunnel.tunnel.workplace import Workplace
from gtunnel.wire.steps import Associate, Connect, Glance, Listen, Meet, Receive, ReceiveLine, Scene, Send, Side


class Sides:
    """The legs, and everything that is opened for them. Owns all of it, the accepted socket included.

    `accepted` is None where the service's program is the client. `scene` is what protocols get to know.
    """

    def __init__(self, accepted: Accepted | None, workplace: Workplace, wakeup: Wakeup) -> None:
        self.accepted = accepted
        self.near: Leg | None = None  # towards the client
        self.far: Leg | None = None  # towards the target
        self.dialled: Dialled | None = None
        self.program: Program | None = None
        self.datagrams: DatagramRelay | None = None
        self.said_farewell = False
        self.scene = Scene(client=None if accepted is None else accepted.client)
        self._workplace = workplace
        self._wakeup = wakeup
        self._talks: dict[Side, Conversation] = {}
        self._rendezvous: Rendezvous | None = None

    def begin(self, service: Service, log: Log) -> None:
        """Take the accepted socket over, or start the program that is the client."""
        if self.accepted is None:
            self.near = self._run_program(service, None, log)
            return
        sockopts.apply(self.accepted.sock, service.settings.sockets.local, "local", log)
        self.near = PlainLeg(self.accepted.sock, self._wakeup)
        if service.settings.protocol.name is not None or service.virtual:
            self.scene.listener = from_sockaddr(self.accepted.sock.getsockname())

    def _run_program(self, service: Service, engine: TlsEngine | None, log: Log) -> Leg:
        """Start the service's program; our end of the connection to it. `engine`: the client's TLS."""
        if service.launch is None:
            raise TypeError("a connection without a client, of a service without a program")
        self.program, ends = self._workplace.programs.start(service.launch, variables(self.accepted, engine), log)
        return ends.leg(self._wakeup)

    def connect(self, service: Service, step: Connect, engine: TlsEngine | None, log: Log) -> None:
        """The far leg: a target that is dialled, or a program. Raises `GtunnelError`."""
        if service.launch is not None and self.program is None and not self._is_led_elsewhere(service, step):
            self.far = self._run_program(service, engine, log)
            return
        client = None if self.accepted is None else self.accepted.client
        self.dialled = dial(service.outgoing, self._targets(service, step, log), client, self._wakeup, log)
        self.far = self.dialled.leg
        if service.settings.protocol.name is not None:
            self.scene.bound = self.dialled.local
        if log.threshold >= Level.NOTICE:
            local = self.dialled.local or "unnamed socket"
            log.write(Level.NOTICE, f"Service [{service.name}] connected remote server from {local}")

    def _is_led_elsewhere(self, service: Service, step: Connect) -> bool:
        """Whether it is known where to go, whatever the service does with its other connections."""
        redirected = self.scene.redirected and service.redirected is not None
        return bool(redirected or step.addresses or step.target is not None or self._goes_where_meant(service))

    def _goes_where_meant(self, service: Service) -> bool:
        """Whether it is the client's own destination: one that the primary service has found may not be this one's."""
        settings = service.settings
        meant = settings.transparency.destination and not settings.protocol.carries_destination
        return meant and self.scene.destination is not None

    def _targets(self, service: Service, step: Connect, log: Log) -> Iterable[Target]:
        if self.scene.redirected and service.redirected is not None:
            return service.redirected.candidates(resolver.lookup, log)
        if step.addresses:
            return [Target(address, None) for address in step.addresses]
        if step.target is not None:
            return [Target(address, None) for address in resolver.lookup(step.target)]
        if self.scene.destination is not None and self._goes_where_meant(service):
            return [Target(self.scene.destination, None)]
        return service.targets.candidates(resolver.lookup, log)

    def wait_outside(self, service: Service, step: Listen | Meet | Associate, log: Log) -> None:
        """The other ways to a target than to connect to it. Raises `GtunnelError`."""
        client = None if self.accepted is None else self.accepted.client
        if isinstance(step, Listen):
            self._rendezvous = Rendezvous(step.host, self._wakeup)
            self.scene.bound = self._rendezvous.address
        elif isinstance(step, Associate) and client is not None:
            self.datagrams = DatagramRelay(step.host, client, step.admit, self._wakeup)
            self.scene.bound = self.datagrams.address
        elif isinstance(step, Meet) and self._rendezvous is not None:
            seconds, watch = service.settings.timeouts.busy, partial(self._watch_client, service.settings)
            self.far, self.scene.peer = self._rendezvous.meet(step.hosts, seconds, watch)
            log.write(Level.NOTICE, f"Service [{service.name}] was connected by {self.scene.peer}")

    def _watch_client(self, settings: ServiceSettings) -> None:
        """Be woken if the client says something, or leaves: then raise."""
        leg, talk = self._leg(Side.CLIENT), self._talk(Side.CLIENT, settings)
        leg.want(receive=not talk.glance(leg), send=False)

    def send(self, settings: ServiceSettings, step: Send, log: Log) -> None:
        """Say something. Raises `GtunnelError`."""
        leg = self._leg(step.side)
        self._talk(step.side, settings).send(leg, step, log)
        if step.farewell:
            self.said_farewell = True
            leg.spare()

    def receive(self, settings: ServiceSettings, step: Receive | ReceiveLine | Glance, log: Log) -> bytes:
        """Hear something. Raises `GtunnelError`."""
        leg, talk = self._leg(step.side), self._talk(step.side, settings)
        return talk.glance(leg) if isinstance(step, Glance) else talk.receive(leg, step, log)

    def unread(self, side: Side) -> bytes:
        """What a side has said beyond the negotiation."""
        # Most connections have no negotiation.
        return self._talks[side].take_rest() if self._talks and side in self._talks else b""

    def _talk(self, side: Side, settings: ServiceSettings) -> Conversation:
        if side not in self._talks:
            self._talks[side] = Conversation(side, self._workplace.scratch, self._wakeup, settings.timeouts.busy)
        return self._talks[side]

    def _leg(self, side: Side) -> Leg:
        leg = self.near if side is Side.CLIENT else self.far
        if leg is None:
            raise TypeError("a protocol talks to a target that is not connected")
        return leg

    def relay(self, service: Service, log: Log) -> Relay:
        """Both legs joined, with what has been said beyond the negotiation on its way already."""
        near, far = self.near, self.far
        if near is None or far is None:
            raise RuntimeError("a protocol ended without a target")
        pipes = self._workplace.pipes
        relay = KernelRelay(near, far, self._replace, pipes, log) if service.tls.kernel else Relay(near, far)
        if self._talks:
            relay.forth.held = self.unread(Side.CLIENT)
            relay.back.held = self.unread(Side.TARGET)
        if service.outgoing.loops is not None:
            # Who answers is no listener of ours that is about to refuse a loop. From here on a client may come from the
            # port that we use towards the same server: with `transparent = both` from its own address.
            relay.back.on_first = partial(self._forget, service)
            if relay.back.held:
                self._forget(service)
        return relay

    def _replace(self, leg: KernelTlsLeg, old: Leg) -> None:
        """The kernel has taken a leg's TLS over."""
        if self.near is old:
            self.near = leg
        else:
            self.far = leg

    def close(self, service: Service, relay: Relay | None, *, reset: bool) -> None:
        """Close all of it; with `reset`, by RST."""
        for leg in (self.near, self.far):
            if leg is not None:
                leg.close(reset=reset)
        if self.near is None and self.accepted is not None:
            self.accepted.sock.close()
        if self.program is not None:
            # One that has ended its output may have work left to do; one that has not learns so that it is over.
            ended = relay is not None and relay.ended(self.far if self.accepted else self.near)
            self.program.leave(service.settings.timeouts.close if ended and not reset else 0)
        for waiting in (self._rendezvous, self.datagrams):
            if waiting is not None:
                waiting.close()
        if service.outgoing.loops is not None:
            self._forget(service)

    def _forget(self, service: Service) -> None:
        dialled, loops = self.dialled, service.outgoing.loops
        if loops is not None and dialled is not None and dialled.noted is not None:
            address = dialled.target.address
            if isinstance(address, SocketAddress):
                loops.forget(dialled.noted, address)
