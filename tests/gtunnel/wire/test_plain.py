"""No application protocol: the order of the two steps is all there is."""

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import plain
from gtunnel.wire.steps import Connect, Scene, StartTls


def test_a_server_connects_nobody_before_the_handshake() -> None:
    assert list(plain.server(ProtocolSettings(), Scene())) == [StartTls(), Connect()]


def test_a_client_has_nobody_to_shake_hands_with_before_it_is_connected() -> None:
    assert list(plain.client(ProtocolSettings(), Scene())) == [Connect(), StartTls()]


def test_each_connection_has_a_negotiation_of_its_own() -> None:
    one, other = plain.server(ProtocolSettings(), Scene()), plain.server(ProtocolSettings(), Scene())
    assert next(one) == StartTls()
    assert next(other) == StartTls()
    assert list(one) == [Connect()]
