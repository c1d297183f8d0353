"""No application protocol: TLS from the first byte."""

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.steps import Connect, Negotiation, Scene, StartTls


def server(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Server mode: nobody gets a connection to the target before the handshake has convinced us."""
    yield StartTls()
    yield Connect()


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the TLS peer is the target."""
    yield Connect()
    yield StartTls()
