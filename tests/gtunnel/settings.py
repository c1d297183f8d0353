"""Settings as the configuration would give them, for tests of the floors above it."""

from gtunnel.conf.load import parse_text
from gtunnel.conf.settings import Configuration, ServiceSettings
from gtunnel.tls import context
from gtunnel.tls.context import TlsContext
from tests.support.certificates import Pki


def configuration(text: str) -> Configuration:
    """A whole configuration."""
    return parse_text(f"syslog = no\npid =\nforeground = yes\n{text}", "test.conf")


def service(text: str) -> ServiceSettings:
    """One service, named "test"."""
    return configuration(f"[test]\n{text}\n").services[0]


def tls_context(pki: Pki) -> TlsContext:
    """A server's TLS."""
    return context.build(service(f"accept = 1\nconnect = 2\ncert = {pki.server.pem}"))
