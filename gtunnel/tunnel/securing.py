"""Starting TLS on a leg of a connection: what is offered, who has to convince whom, and what is told of it.

Nothing of a peer is relayed, and no last flight with a session ticket sent, before it has convinced us: its certificate
in the handshake itself, OCSP responders right after it (`TlsLeg.handshake` waits with the flight).
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import field

from gtunnel.events import Level, Log
from gtunnel.net.kernelleg import HandoverLeg
from gtunnel.net.legs import PlainLeg, Scratch, TlsLeg
from gtunnel.net.names import Target
from gtunnel.net.responders import Manner, Responders
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.diagnosis import SOCKS, Scene, explain
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import HandshakeError
from gtunnel.tls.handover import HandoverEngine
from gtunnel.tls.hello import RECORD_HEADER, HelloReader
from gtunnel.tunnel import narration
from gtunnel.tunnel.resumption import Remembered
from gtunnel.tunnel.revocation import RevokedError, inquire
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.sessionservers import SessionServers
from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a handshake works with: the worker's, and the connection's wakeup and log."""

    scratch: Scratch
    wakeup: Wakeup
    responders: Responders
    session_servers: SessionServers
    log: Log


@dataclass(slots=True, kw_only=True)
class Secured:
    """A leg with TLS on it. `unconvincing`: its peer is to be redirected. `remembered`: what a client knows of its
    server's session."""

    leg: TlsLeg
    unconvincing: bool = False
    remembered: Remembered | None = field(default=None, repr=False)

    def leave(self, log: Log) -> None:
        """At the connection's end: keep the session that the server gave last."""
        if self.remembered is not None:
            self.remembered.leave(self.leg.engine, log)


def connect(service: Service, plain: PlainLeg, target: Target, tools: Tools) -> Secured:
    """TLS towards a target, within TIMEOUTbusy. Takes the leg over. Raises `GtunnelError`."""
    log = tools.log
    narration.before_handshake(service, target.host, log)
    remembered = None
    if service.client_sessions is not None:
        server = f"{target.address} {service.tls.server_name(target.host)}"
        remembered = service.client_sessions.recall(server, log)
    session, group = (None, None) if remembered is None else (remembered.session, remembered.group)
    engine = service.tls.engine(target.host, session, group)
    leg = _leg(plain, engine, tools)
    secured = Secured(leg=leg, remembered=remembered)
    _Handshake(service, secured, None, tools).take(service.settings.timeouts.busy)
    if service.settings.tls.psk_secrets is not None and not engine.by_shared_key:
        _warn_of_no_key(service, log)
    if remembered is not None:
        remembered.shaken(engine, log)
        leg.on_data = lambda: remembered.look(engine, log)
    return secured


def accept(service: Service, plain: PlainLeg, reader: HelloReader, tools: Tools, seconds: float) -> Secured:
    """TLS towards a client, whose first bytes are in `reader`. Takes the leg over. Raises `GtunnelError`."""
    narration.before_handshake(service, None, tools.log)
    resumption = tools.session_servers.of(service)
    hello = None if resumption is None else reader.hello()
    with nullcontext() if resumption is None else resumption.offered(hello, tools.log):
        engine = service.tls.engine()
        engine.feed(_decidable(reader.received))
        secured = Secured(leg=_leg(plain, engine, tools))
        _Handshake(service, secured, reader, tools).take(seconds)
    if resumption is not None:
        resumption.keep(engine, hello, tools.log)
    if secured.unconvincing:
        tools.log.write(Level.NOTICE, "Redirecting connection")
    return secured


def _leg(plain: PlainLeg, engine: TlsEngine, tools: Tools) -> TlsLeg:
    if isinstance(engine, HandoverEngine):
        return HandoverLeg(plain, engine, tools.scratch, tools.wakeup)
    return TlsLeg(plain, engine, tools.scratch, tools.wakeup)


class _Handshake:
    """One handshake: taken, told, judged."""

    def __init__(self, service: Service, secured: Secured, reader: HelloReader | None, tools: Tools) -> None:
        self._service = service
        self._secured = secured
        self._engine = secured.leg.engine
        self._reader = reader
        self._tools = tools
        self._tolerant = service.redirected is not None

    def take(self, seconds: float) -> None:
        """Take it, within so many seconds. Raises `GtunnelError`."""
        try:
            self._secured.leg.handshake(seconds, self._inquiry())
        except HandshakeError as error:
            raise self._explained(error) from error
        finally:
            self._tell_verdicts()
        narration.after_handshake(self._engine, self._tools.log, client=self._service.settings.client)
        if self._tolerant and not self._convinces():
            self._secured.unconvincing = True

    def _explained(self, error: HandshakeError) -> HandshakeError:
        scene = Scene(
            settings=self._service.settings,
            first=self._engine.first,
            hello=None if self._reader is None else self._reader.hello(),
            rejected=self._engine.rejected,
        )
        return error.explained(explain(str(error), scene))

    def _tell_verdicts(self) -> None:
        for level, line in self._engine.take_verdicts():
            self._tools.log.write(level, line)

    def _convinces(self) -> bool:
        return self._engine.convinces(require=self._service.settings.verification.require)

    def _inquiry(self) -> Callable[[], None] | None:
        """What has to convince us after the handshake; None where nobody is asked."""
        service, tools = self._service, self._tools
        inquirer, settings = service.inquirer, service.settings
        # A client's sessions end in time anyway, and the server may have a new certificate by now.
        ages = settings.verification.convincing and not settings.client
        if inquirer is None and not ages:
            return None

        def convince() -> None:
            self._tell_verdicts()
            if ages and self._engine.outlived:
                # OpenSSL does not look at the certificate of a resumed session.
                tools.log.write(Level.WARNING, "CERT: certificate has expired (in a resumed session)")
                self._refuse()
                return
            if inquirer is None:
                return
            if self._tolerant and not self._convinces():
                # Nobody vouches for its certificates: where they want us to ask is nobody's business.
                return
            manner = Manner(service.settings.ocsp.seconds, service.outgoing.mark)
            verdict = inquire(inquirer, self._engine.evidence(), tools.responders, manner, tools.log)
            if not verdict.accepted:
                self._refuse()

        return convince

    def _refuse(self) -> None:
        """Turn the peer away, or have it redirected. Raises `RevokedError`."""
        if not self._tolerant:
            raise RevokedError(function=self._engine.function)
        self._secured.unconvincing = True


def _decidable(received: bytes) -> bytes:
    """What OpenSSL is to judge. A SOCKS client waits after three bytes for an answer, and OpenSSL for five bytes."""
    return received.ljust(RECORD_HEADER, b"\0") if received.startswith(SOCKS) else received


def _warn_of_no_key(service: Service, log: Log) -> None:
    if not service.settings.verification.convincing:
        log.write(Level.WARNING, "The server used no pre-shared key, and its certificate is not verified")
