"""The PROXY protocol, as one who sends it: the target learns who the client is (HAProxy's proxy-protocol.txt)."""

from gtunnel.address import SocketAddress
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.steps import Connect, Negotiation, Scene, Send, Side, StartTls


def server(_settings: ProtocolSettings, scene: Scene) -> Negotiation:
    """Server mode: TLS, then the target, which is told first whom it talks with."""
    yield StartTls()
    yield Connect()
    yield Send(Side.TARGET, version1(scene.client, scene.destination or scene.listener))


def version1(client: SocketAddress | None, reached: SocketAddress | None) -> bytes:
    """The line that people can read (section 2.1). What is not TCP on both sides of one family is UNKNOWN."""
    if client is None or reached is None or client.family != reached.family:
        return b"PROXY UNKNOWN\r\n"
    family = "TCP6" if ":" in client.host else "TCP4"
    return f"PROXY {family} {client.host} {reached.host} {client.port} {reached.port}\r\n".encode("ascii")
