"""protocol = proxy: the target learns who the client is, and what TLS found out about it."""

from gtunnel.address import SocketAddress
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import proxyheader
from gtunnel.wire.proxyheader import Ends
from gtunnel.wire.steps import Connect, Negotiation, Scene, Send, Side, StartTls


def server(settings: ProtocolSettings, scene: Scene) -> Negotiation:
    """Server mode: TLS, then the target, which is told first whom it talks with."""
    yield StartTls()
    yield Connect()
    ends = _ends(scene.client, scene.destination or scene.listener)
    if settings.proxy.version == 1:
        yield Send(Side.TARGET, proxyheader.version1(ends))
    else:
        yield Send(Side.TARGET, proxyheader.version2(ends, scene.tls), binary=True)


def _ends(client: SocketAddress | None, reached: SocketAddress | None) -> Ends | None:
    """None where they are not both TCP, of one family."""
    if client is None or reached is None or client.family != reached.family:
        return None
    return Ends(client, reached)
