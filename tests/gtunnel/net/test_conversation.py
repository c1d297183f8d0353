"""Messages over a leg: what arrives, what does not, and who is told."""

import re
import socket
import threading
from collections.abc import Iterator

import gevent
import pytest

from gtunnel.events import Level
from gtunnel.net.conversation import Conversation, UnexpectedCloseError
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.legs import PlainLeg, Scratch
from gtunnel.net.waiting import Wakeup
from gtunnel.wire.errors import MessageError
from gtunnel.wire.steps import MAX_MESSAGE, Receive, ReceiveLine, Send, Side
from tests.gtunnel.logs import ListLog

LINE = ReceiveLine(Side.CLIENT)


class Talk:
    """A conversation over one end of a socket pair; `far` is the peer's end."""

    def __init__(self, seconds: float = 10) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.far.settimeout(10)
        self.log = ListLog(Level.DEBUG)
        self._wakeup = Wakeup()
        self._leg = PlainLeg(near, self._wakeup)
        self.conversation = Conversation(Side.CLIENT, Scratch(), self._wakeup, seconds)

    def receive(self, step: Receive | ReceiveLine = LINE) -> bytes:
        return self.conversation.receive(self._leg, step, self.log)

    def glance(self) -> bytes:
        return self.conversation.glance(self._leg)

    def send(self, data: bytes, *, secret: bool = False) -> None:
        self.conversation.send(self._leg, Send(Side.CLIENT, data, secret), self.log)

    def close(self) -> None:
        self._leg.close(reset=False)
        self._wakeup.close()
        self.far.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    talk = Talk()
    yield talk
    talk.close()


def test_messages_are_taken_one_by_one_and_the_rest_is_for_others(talk: Talk) -> None:
    talk.far.sendall(b"EHLO\r\n1234tls")
    assert talk.receive() == b"EHLO"
    assert talk.receive(Receive(Side.CLIENT, 4)) == b"1234"
    assert talk.conversation.take_rest() == b"tls"
    assert talk.log.texts == [" <- EHLO"]


def test_what_may_be_a_password_is_not_shown(talk: Talk) -> None:
    shown = re.compile(b"PASS|STLS")
    talk.far.sendall(b"PASS s3cret\nSTLS\ns3cret\n")
    assert talk.receive(ReceiveLine(Side.CLIENT, shown=shown)) == b"PASS s3cret"
    talk.receive(ReceiveLine(Side.CLIENT, shown=shown))
    talk.receive(ReceiveLine(Side.CLIENT, shown=shown))
    assert talk.log.texts == [" <- PASS ...", " <- STLS", " <-  ..."]


def test_each_line_of_a_reply_is_a_line_of_the_log(talk: Talk) -> None:
    talk.send(b"250-mail\r\n250 STARTTLS\r\n")
    assert talk.log.texts == [" -> 250-mail", " -> 250 STARTTLS"]


def test_a_glance_takes_nothing_and_does_not_wait(talk: Talk) -> None:
    assert talk.glance() == b""
    talk.far.sendall(b"one\ntwo")
    assert talk.receive() == b"one"
    assert talk.glance() == talk.glance() == b"two"
    talk.far.sendall(b"\n")
    assert talk.receive() == b"two"


def test_a_line_may_come_in_pieces(talk: Talk) -> None:
    def far() -> None:
        for piece in (b"E", b"HL", b"O\r", b"\n"):
            talk.far.sendall(piece)
            gevent.sleep(0.01)

    peer = gevent.spawn(far)
    assert talk.receive() == b"EHLO"
    peer.get()


def test_more_than_the_kernel_takes_at_once_is_sent(talk: Talk) -> None:
    message = bytes(4_000_000)
    received = bytearray()

    def far() -> None:
        while len(received) < len(message):
            received.extend(talk.far.recv(65536))

    reader = threading.Thread(target=far)
    reader.start()
    talk.send(message)
    reader.join(timeout=20)
    assert len(received) == len(message)


def test_secrets_are_not_logged(talk: Talk) -> None:
    talk.send(b"PASS hidden\r\n", secret=True)
    talk.send(b"NOOP\r\n")
    assert talk.log.texts == [" -> (secret)", " -> NOOP"]


def test_a_peer_that_leaves_is_told_of(talk: Talk) -> None:
    talk.far.close()
    with pytest.raises(UnexpectedCloseError, match="Unexpected socket close"):
        talk.receive()


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(talk: Talk) -> None:
    talk.far.sendall(b"x" * (MAX_MESSAGE + 1))
    with pytest.raises(MessageError, match="Line too long"):
        talk.receive()


def test_a_message_has_a_time_limit_as_a_whole() -> None:
    talk = Talk(seconds=0.3)

    def drip() -> None:
        while True:
            talk.far.sendall(b"x")
            gevent.sleep(0.05)

    dripping = gevent.spawn(drip)
    with pytest.raises(WaitTimeoutError, match="TIMEOUTbusy exceeded"):
        talk.receive()
    dripping.kill()
    talk.close()
