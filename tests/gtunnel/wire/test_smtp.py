"""SMTP's STARTTLS on bytes."""

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import smtp
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, play

GREETING = b"220-mail.example.org\r\n220 ready\r\n"


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_client_says_starttls_and_tls_begins_after_the_answer(chunk: int) -> None:
    played = play(smtp.server(ProtocolSettings(), Scene()), b"EHLO me\r\nstarttls\r\n", GREETING, chunk=chunk)
    assert played.error is None
    assert played.kinds == [Connect, Send, StartTls]
    assert played.said[Side.CLIENT] == GREETING + b"250-gtunnel\r\n250 STARTTLS\r\n220 Go ahead\r\n"
    assert played.said[Side.TARGET] == b""


def test_what_a_client_sends_behind_starttls_is_tls_and_nothing_else() -> None:
    played = play(smtp.server(ProtocolSettings(), Scene()), b"STARTTLS\r\nMAIL FROM:<a@b>\r\n", GREETING)
    assert played.at_tls is not None
    assert played.at_tls[Side.CLIENT] == b"MAIL FROM:<a@b>\r\n"
    assert played.rest[Side.CLIENT] == b""


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls(chunk: int) -> None:
    server = GREETING + b"250-mail\r\n250 STARTTLS\r\n220 go\r\n"
    played = play(smtp.client(ProtocolSettings(), Scene()), b"", server, tls_side=Side.TARGET, chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls]
    assert played.said == {Side.CLIENT: GREETING, Side.TARGET: b"EHLO localhost\r\nSTARTTLS\r\n"}


def test_a_server_without_tls_is_no_server() -> None:
    server = GREETING + b"250 mail\r\n454 not available\r\n"
    played = play(smtp.client(ProtocolSettings(), Scene()), b"", server, tls_side=Side.TARGET)
    assert str(played.error) == "smtp: the server said '454 not available'"
