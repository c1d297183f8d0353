"""Starting TLS on a leg of a connection: what is offered, who has to convince whom, and what is told of it.

Nothing of a peer is relayed, and no last flight with a session ticket sent, before it has convinced us: its certificate
in the handshake itself, OCSP responders right after it (`TlsLeg.handshake` waits with the flight).
"""

from dataclasses import field
from functools import partial

from gtunnel.events import Level, Log
from gtunnel.net.kernelleg import HandoverLeg
from gtunnel.net.legs import PlainLeg, TlsLeg
from gtunnel.net.names import Target
from gtunnel.net.responders import Manner
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
from gtunnel.tunnel.workplace import Workplace
from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True)
class Tools:
    """What a handshake works with: the worker's, and the connection's wakeup and log."""

    workplace: Workplace
    wakeup: Wakeup
    log: Log


@dataclass(slots=True, kw_only=True)
class Secured:
    """A leg with TLS on it, and its engine. `unconvincing`: its peer is to be redirected. `remembered`: what a client
    knows of its server's session."""

    leg: TlsLeg
    engine: TlsEngine
    unconvincing: bool = False
    remembered: Remembered | None = field(default=None, repr=False)


def connect(service: Service, plain: PlainLeg, target: Target, tools: Tools) -> Secured:
    """TLS towards a target, within TIMEOUTbusy. Takes the leg over. Raises `GtunnelError`."""
    log = tools.log
    if log.threshold >= Level.INFO:
        narration.before_handshake(service, target.host, log)
    remembered = None
    if service.client_sessions is not None:
        server = f"{target.address} {service.tls.server_name(target.host)}"
        remembered = service.client_sessions.recall(server, log)
    session, group = (None, None) if remembered is None else (remembered.session, remembered.group)
    engine = service.tls.engine(target.host, session, group)
    leg = _leg(plain, engine, tools)
    secured = Secured(leg=leg, engine=engine, remembered=remembered)
    _shake(service, secured, None, tools, service.settings.timeouts.busy)
    if service.settings.tls.psk_secrets is not None and not engine.by_shared_key:
        _warn_of_no_key(service, log)
    if remembered is not None:
        remembered.shaken(engine, log)
        leg.on_data = lambda: remembered.look(engine, log)
    return secured


def accept(service: Service, plain: PlainLeg, reader: HelloReader, tools: Tools, seconds: float) -> Secured:
    """TLS towards a client, whose first bytes are in `reader`. Takes the leg over. Raises `GtunnelError`."""
    log, workplace = tools.log, tools.workplace
    if log.threshold >= Level.INFO:
        narration.before_handshake(service, None, log)
    engine = service.tls.engine()
    received = reader.received
    if received.startswith(SOCKS):
        # Such a client waits after three bytes for an answer, and OpenSSL for five bytes.
        received = received.ljust(RECORD_HEADER, b"\0")
    engine.feed(received)
    secured = Secured(leg=_leg(plain, engine, tools), engine=engine)
    resumption = workplace.session_servers.of(service)
    if resumption is None:
        _shake(service, secured, reader, tools, seconds)
    else:
        hello = reader.hello()
        with resumption.offered(hello, log):
            _shake(service, secured, reader, tools, seconds)
        resumption.keep(engine, hello, log)
    if secured.unconvincing:
        log.write(Level.NOTICE, "Redirecting connection")
    return secured


def _leg(plain: PlainLeg, engine: TlsEngine, tools: Tools) -> TlsLeg:
    scratch = tools.workplace.scratch
    if isinstance(engine, HandoverEngine):
        return HandoverLeg(plain, engine, scratch, tools.wakeup)
    return TlsLeg(plain, engine, scratch, tools.wakeup)


def _shake(service: Service, secured: Secured, reader: HelloReader | None, tools: Tools, seconds: float) -> None:
    """Take a handshake within so many seconds, tell what came of it, and judge it. Raises `GtunnelError`."""
    engine, log = secured.engine, tools.log
    try:
        secured.leg.handshake(seconds, partial(_convince, service, secured, tools) if service.inquires else None)
    except HandshakeError as error:
        hello = None if reader is None else reader.hello()
        scene = Scene(settings=service.settings, first=engine.first, hello=hello, rejected=engine.rejected)
        raise error.explained(explain(str(error), scene)) from error
    finally:
        for level, line in engine.take_verdicts():
            log.write(level, line)
    if log.threshold >= Level.INFO:
        narration.after_handshake(engine, log, client=service.settings.client)
    if service.redirected is not None and not _convinces(service, engine):
        secured.unconvincing = True


def _convince(service: Service, secured: Secured, tools: Tools) -> None:
    """Ask what is to be asked about a peer when its handshake is done. Raises `RevokedError`."""
    engine, log, settings = secured.engine, tools.log, service.settings
    for level, line in engine.take_verdicts():
        log.write(level, line)
    if settings.verification.convincing and not settings.client and engine.outlived:
        # OpenSSL does not look at the certificate of a resumed session.
        log.write(Level.WARNING, "CERT: certificate has expired (in a resumed session)")
        _refuse(service, secured)
        return
    if service.inquirer is None:
        return
    if service.redirected is not None and not _convinces(service, engine):
        # Nobody vouches for its certificates: where they want us to ask is nobody's business.
        return
    manner = Manner(settings.ocsp.seconds, service.outgoing.mark)
    if not inquire(service.inquirer, engine.evidence(), tools.workplace.responders, manner, log).accepted:
        _refuse(service, secured)


def _convinces(service: Service, engine: TlsEngine) -> bool:
    return engine.convinces(require=service.settings.verification.require)


def _refuse(service: Service, secured: Secured) -> None:
    """Turn the peer away, or have it redirected. Raises `RevokedError`."""
    if service.redirected is None:
        raise RevokedError(function=secured.engine.function)
    secured.unconvincing = True


def _warn_of_no_key(service: Service, log: Log) -> None:
    if not service.settings.verification.convincing:
        log.write(Level.WARNING, "The server used no pre-shared key, and its certificate is not verified")
