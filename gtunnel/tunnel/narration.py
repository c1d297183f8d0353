"""What the log says around a handshake. The wording is stunnel's: filters and monitors match it."""

from gtunnel.events import Level, Log
from gtunnel.tls.engine import TlsEngine
from gtunnel.tunnel.service import Service


def before_handshake(service: Service, host: str | None, log: Log) -> None:
    """Say what will be sent and demanded. Only where it is heard (INFO): it takes asking."""
    name = service.tls.server_name(host)
    if name is not None:
        log.write(Level.INFO, f"SNI: sending servername: {name}")
    required = "required" if service.settings.verification.require else "not required"
    log.write(Level.INFO, f"Peer certificate {required}")


def after_handshake(engine: TlsEngine, log: Log, *, client: bool) -> None:
    """Say what was agreed on. Only where it is heard (INFO): it takes asking."""
    agreed = engine.negotiated()
    done = "connected" if client else "accepted"
    how = "previous session reused" if agreed.reused else "new session negotiated"
    if agreed.peer_subject is None and not agreed.reused:
        log.write(Level.INFO, "No peer certificate received")
    log.write(Level.INFO, f"TLS {done}: {how}")
    log.write(Level.INFO, f"{agreed.version} ciphersuite: {agreed.cipher} ({agreed.bits}-bit encryption)")
    if agreed.group is not None:
        log.write(Level.INFO, f"Peer temporary key: {agreed.group}")
