from gtunnel.address import ClientAddress, OriginalDestination, SocketAddress
from gtunnel.conf.settings import Protocol, ProtocolSettings, ProxySettings
from gtunnel.wire import proxy, proxyheader
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls

V4, REACHED = SocketAddress("192.0.2.1", 1024), SocketAddress("198.51.100.1", 443)


def header(scene: Scene, version: int = 1) -> bytes:
    settings = ProtocolSettings(name=Protocol.PROXY, proxy=ProxySettings(version=version))
    *others, send = list(proxy.server(settings, scene))
    assert others == [StartTls(), Connect()]
    assert isinstance(send, Send)
    assert send.side is Side.TARGET
    return send.data


def test_the_target_is_told_after_the_handshake_and_before_anything_else() -> None:
    scene = Scene(client=ClientAddress(V4), listener=REACHED)
    assert header(scene) == b"PROXY TCP4 192.0.2.1 198.51.100.1 1024 443\r\n"
    scene.destination = OriginalDestination(SocketAddress("203.0.113.9", 80))
    assert header(scene) == b"PROXY TCP4 192.0.2.1 203.0.113.9 1024 80\r\n"
    assert header(scene, 2).startswith(proxyheader.SIGNATURE)


def test_what_is_not_tcp_of_one_family_is_unknown() -> None:
    scenes = (
        Scene(listener=REACHED),
        Scene(client=ClientAddress(V4)),
        Scene(client=ClientAddress(V4), listener=SocketAddress("2001:db8::1", 443)),
    )
    assert {header(scene) for scene in scenes} == {b"PROXY UNKNOWN\r\n"}
