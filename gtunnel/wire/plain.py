"""No application protocol: TLS from the first byte."""

from typing import Final

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.steps import Connect, Negotiation, Scene, StartTls

# Nothing about them varies.
_START_TLS: Final = StartTls()
_CONNECT: Final = Connect()


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: nobody gets a connection to the target before the handshake has convinced us."""
    yield _START_TLS
    yield _CONNECT


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the TLS peer is the target."""
    yield _CONNECT
    yield _START_TLS
