"""POP3's STLS on bytes."""

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import pop3
from gtunnel.wire.starttls import MAX_COMMANDS, MAX_LINE
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play

GREETING = b"+OK ready <1@example.org>\r\n"
GO = b"+OK Begin TLS negotiation now\r\n"


def serve(client: bytes, target: bytes = GREETING, *, chunk: int = 0) -> Played:
    return play(pop3.server(ProtocolSettings(), Scene()), client, target, chunk=chunk)


def dial(target: bytes, *, chunk: int = 0) -> Played:
    return play(pop3.client(ProtocolSettings(), Scene()), b"", target, tls_side=Side.TARGET, chunk=chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_client_says_stls_and_tls_begins_after_the_answer(chunk: int) -> None:
    played = serve(b"capa\r\nSTLS\r\nUSER x\r\n", chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls]
    capabilities = b"+OK Capability list follows\r\nSTLS\r\n.\r\n"
    assert played.said == {Side.CLIENT: GREETING + capabilities + GO, Side.TARGET: b""}
    assert played.rest[Side.CLIENT] == b""


@pytest.mark.parametrize("command", [b"USER x", b"PASS y", b"APOP x y", b"NOOP", b"", b"\xff\0"])
def test_nobody_logs_in_before_tls(command: bytes) -> None:
    played = serve(command + b"\r\nSTLS\r\n")
    assert played.said == {Side.CLIENT: GREETING + b"-ERR Say STLS first\r\n" + GO, Side.TARGET: b""}


def test_a_client_may_leave() -> None:
    played = serve(b"QUIT\r\n")
    assert played.said[Side.CLIENT] == GREETING + b"+OK Bye\r\n"
    assert str(played.error) == "pop3: the client left without asking for TLS"


@pytest.mark.parametrize(
    ("client", "target", "told"),
    [
        (b"", b"-ERR [IN-USE] busy\r\n", b"-ERR [IN-USE] busy\r\n"),
        (b"", b"* OK imap\r\n", pop3.GOODBYE),
        (b"", b"+" * (MAX_LINE + 1), pop3.GOODBYE),
        (b"a" * (MAX_LINE + 1), GREETING, pop3.GOODBYE),
        (b"CAPA\r\n" * (MAX_COMMANDS + 1), GREETING, pop3.GOODBYE),
    ],
)
def test_what_is_not_the_protocol_ends_it_and_the_client_is_told(client: bytes, target: bytes, told: bytes) -> None:
    played = serve(client, target)
    assert played.error is not None
    assert played.said[Side.CLIENT].endswith(told)
    assert StartTls not in played.kinds


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls_and_the_client_greeted_then(chunk: int) -> None:
    played = dial(GREETING + b"+OK go\r\n", chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls, Send]
    assert played.said == {Side.CLIENT: GREETING, Side.TARGET: b"STLS\r\n"}


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (GREETING + b"-ERR no\r\n", "it refused STLS: the server said '-ERR no'"),
        (b"-ERR busy\r\n", "it does not greet: the server said '-ERR busy'"),
    ],
)
def test_a_server_without_tls_is_no_server_and_its_words_are_not_for_the_client(server: bytes, reason: str) -> None:
    played = dial(server)
    assert str(played.error) == f"pop3: {reason}"
    assert played.said[Side.CLIENT] == pop3.GOODBYE
