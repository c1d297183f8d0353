import pytest

from gtunnel.address import ClientAddress, OriginalDestination, SocketAddress
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import proxy
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls

V4, V6 = SocketAddress("192.0.2.1", 1024), SocketAddress("2001:db8::1", 443)


def test_the_target_is_told_before_anything_else_and_after_the_handshake() -> None:
    scene = Scene(client=ClientAddress(V4), listener=SocketAddress("198.51.100.1", 443))
    line = b"PROXY TCP4 192.0.2.1 198.51.100.1 1024 443\r\n"
    assert list(proxy.server(ProtocolSettings(), scene)) == [StartTls(), Connect(), Send(Side.TARGET, line)]
    scene.destination = OriginalDestination(SocketAddress("203.0.113.9", 80))
    assert list(proxy.server(ProtocolSettings(), scene))[-1] == Send(
        Side.TARGET, b"PROXY TCP4 192.0.2.1 203.0.113.9 1024 80\r\n"
    )


@pytest.mark.parametrize(
    ("client", "reached", "line"),
    [
        (V6, V6, b"PROXY TCP6 2001:db8::1 2001:db8::1 443 443\r\n"),
        (None, V4, b"PROXY UNKNOWN\r\n"),
        (V4, None, b"PROXY UNKNOWN\r\n"),
        (V4, V6, b"PROXY UNKNOWN\r\n"),
    ],
)
def test_what_is_not_tcp_of_one_family_is_unknown(
    client: SocketAddress | None, reached: SocketAddress | None, line: bytes
) -> None:
    assert proxy.version1(client, reached) == line
