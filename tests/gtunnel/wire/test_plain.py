"""No application protocol: the order of the two steps is all there is."""

from gtunnel.wire import plain
from gtunnel.wire.steps import Connect, StartTls


def test_a_server_connects_nobody_before_the_handshake() -> None:
    assert list(plain.server()) == [StartTls(), Connect()]


def test_a_client_has_nobody_to_shake_hands_with_before_it_is_connected() -> None:
    assert list(plain.client()) == [Connect(), StartTls()]


def test_each_connection_has_a_negotiation_of_its_own() -> None:
    one, other = plain.server(), plain.server()
    assert next(one) == StartTls()
    assert next(other) == StartTls()
    assert list(one) == [Connect()]
