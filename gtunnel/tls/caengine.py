"""`CAengine`: certificates to trust that an engine keeps."""

from OpenSSL.crypto import X509

from gtunnel.conf.settings import EngineCertificates
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.library import LIBRARY
from gtunnel.tls.openssl.engines import Engine, EngineError


def certificates(settings: EngineCertificates | None) -> list[X509]:
    """Fetch them. Raises `TlsSetupError`."""
    if settings is None:
        return []
    engine = _engine(settings)
    return [_certificate(engine, identifier) for identifier in settings.identifiers]


def _engine(settings: EngineCertificates) -> Engine:
    number = settings.engine_number
    if settings.engine_id is None and number is None:
        # Where there is only one, it is meant.
        number = 1
    engine = LIBRARY.engine(settings.engine_id, number)
    if engine is None:
        reason = "no such engine was named before the first section (engine, engineId)"
        raise TlsSetupError(option="CAengine", value=settings.identifiers[0], reason=reason)
    return engine


def _certificate(engine: Engine, identifier: str) -> X509:
    try:
        return engine.certificate(identifier)
    except EngineError as error:
        reason = f"engine {engine.identifier}: {error}"
        raise TlsSetupError(option="CAengine", value=identifier, reason=reason, parsed=identifier) from error
