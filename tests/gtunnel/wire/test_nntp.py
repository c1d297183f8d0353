"""NNTP's STARTTLS on bytes."""

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import nntp
from gtunnel.wire.starttls import MAX_LINE
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play


def dial(target: bytes, *, chunk: int = 0) -> Played:
    return play(nntp.client(ProtocolSettings(), Scene()), b"", target, tls_side=Side.TARGET, chunk=chunk)


@pytest.mark.parametrize("greeting", [b"200 posting\r\n", b"201 no posting\r\n", b"200\r\n"])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls_and_the_client_greeted_then(greeting: bytes, chunk: int) -> None:
    played = dial(greeting + b"382 go\r\n", chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls, Send]
    assert played.said == {Side.CLIENT: greeting, Side.TARGET: b"STARTTLS\r\n"}
    assert played.error is None


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (b"200 hi\r\n580 no\r\n", "nntp: it refused STARTTLS: the server said '580 no'"),
        (b"200 hi\r\n\xff\r\n", "nntp: it refused STARTTLS: the server said '\\xff'"),
        (b"502 no\r\n", "nntp: it does not greet: the server said '502 no'"),
        (b"2000\r\n", "nntp: it does not greet: the server said '2000'"),
        (b"2" * (MAX_LINE + 1), "Line too long"),
    ],
)
def test_a_server_without_tls_is_no_server_and_the_client_is_told(server: bytes, reason: str) -> None:
    played = dial(server)
    assert reason in str(played.error)
    assert played.said[Side.CLIENT] == nntp.GOODBYE
    assert StartTls not in played.kinds


def test_what_a_server_says_beyond_its_answer_is_not_taken_for_said_under_tls() -> None:
    played = dial(b"200 hi\r\n382 go\r\n200 injected\r\n")
    assert played.at_tls is not None
    assert played.at_tls[Side.TARGET] == b"200 injected\r\n"
    assert played.said[Side.CLIENT] == b"200 hi\r\n"
