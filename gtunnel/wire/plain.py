"""No application protocol: TLS from the first byte."""

from gtunnel.wire.steps import Connect, Negotiation, StartTls


def server() -> Negotiation:
    """Server mode: nobody gets a connection to the target before the handshake has convinced us."""
    yield StartTls()
    yield Connect()


def client() -> Negotiation:
    """Client mode: the TLS peer is the target."""
    yield Connect()
    yield StartTls()
