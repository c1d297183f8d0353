"""OCSP in a service's context: who inquires about its peers, and the stapled answers that clients take (RFC 6066)."""

from OpenSSL import SSL

from gtunnel.conf.settings import ServiceSettings
from gtunnel.tls.ocsp.inquiry import Inquirer
from gtunnel.tls.verification import Verdicts


def takes_staples(service: ServiceSettings) -> bool:
    """Whether a service asks its servers for stapled answers: verifyChain does."""
    return service.client and service.verification.chain


def take_staples(context: SSL.Context) -> None:
    """Let a client's context take what servers staple. It is only noted; the inquiry judges it."""
    context.set_ocsp_client_callback(_take)


def inquirer(context: SSL.Context, service: ServiceSettings) -> Inquirer | None:
    """Who asks about a service's peers; None if nobody is to be asked. `context` has its trust already."""
    if not service.verification.convincing or not (service.ocsp.asks or takes_staples(service)):
        return None
    trust = context.get_cert_store()
    return None if trust is None else Inquirer(service.ocsp, trust)


def _take(connection: SSL.Connection, answer: bytes, _: object) -> bool:
    verdicts = connection.get_app_data()
    if isinstance(verdicts, Verdicts):
        verdicts.stapled = answer
    return True
