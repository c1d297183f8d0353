"""What a client says first is read off its socket: whole, slowly, wrongly, or not at all."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from gtunnel.events import Level
from gtunnel.net import opening
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.legs import PlainLeg, Scratch
from gtunnel.net.opening import SilentClientError
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.hello import HelloReader
from tests.gtunnel.tls.test_hello import hello_of


@pytest.fixture
def far() -> Iterator[tuple[socket.socket, Callable[..., HelloReader]]]:
    """A client's socket, and what reads from the other end of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=10)
        near, _ = listener.accept()
    near.setblocking(False)
    wakeup = Wakeup()
    leg = PlainLeg(near, wakeup)
    with client:
        yield client, lambda seconds=10.0: opening.receive(leg, wakeup, Scratch(), seconds)
    leg.close(reset=False)
    wakeup.close()


Far = tuple[socket.socket, Callable[..., HelloReader]]


def test_a_hello_is_read_whole(far: Far) -> None:
    client, receive = far
    data = hello_of()

    def dribble() -> None:
        for byte in data:
            client.send(bytes([byte]))

    thread = threading.Thread(target=dribble)
    thread.start()
    reader = receive()
    thread.join()
    assert reader.received == data
    hello = reader.hello()
    assert hello is not None
    assert hello.server_name == "www.example.org"


def test_something_else_is_returned_as_far_as_it_came(far: Far) -> None:
    client, receive = far
    client.send(b"GET / HTTP/1.0\r\n")
    reader = receive()
    assert reader.received.startswith(b"GET")
    assert reader.hello() is None


def test_half_a_hello_and_no_more(far: Far) -> None:
    client, receive = far
    client.send(hello_of()[:50])
    client.shutdown(socket.SHUT_WR)
    reader = receive()
    assert len(reader.received) == 50
    assert reader.hello() is None


@pytest.mark.parametrize("reset", [False, True])
def test_who_leaves_without_a_word_is_hardly_worth_a_line(far: Far, *, reset: bool) -> None:
    client, receive = far
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    with pytest.raises(SilentClientError) as caught:
        receive()
    assert caught.value.level is Level.DEBUG


def test_who_stays_without_a_word_is_told_by_the_timeout(far: Far) -> None:
    _, receive = far
    with pytest.raises(WaitTimeoutError, match="TIMEOUTbusy"):
        receive(0.1)
