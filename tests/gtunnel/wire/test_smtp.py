"""SMTP's STARTTLS on bytes."""

import base64

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.events import Level
from gtunnel.wire import smtp
from gtunnel.wire.starttls import MAX_COMMANDS, MAX_LINE
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play

GREETING = b"220-mail.example.org\r\n220 ready\r\n"
OFFER = b"250-mail.example.org\r\n250 STARTTLS\r\n"
GO = b"220 2.0.0 Ready to start TLS\r\n"
AGREED = GREETING + b"250-mail\r\n250 STARTTLS\r\n220 go\r\n"
CREDENTIALS = ProtocolSettings(host="me", username="u", password="p w")  # noqa: S106


def serve(client: bytes, target: bytes = GREETING, *, chunk: int = 0) -> Played:
    return play(smtp.server(ProtocolSettings(), Scene()), client, target, chunk=chunk)


def dial(target: bytes, under_tls: bytes = b"", settings: ProtocolSettings | None = None, chunk: int = 0) -> Played:
    negotiation = smtp.client(settings or ProtocolSettings(), Scene())
    return play(negotiation, b"", target, tls_side=Side.TARGET, after_tls=under_tls, chunk=chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_client_says_starttls_and_tls_begins_after_the_answer(chunk: int) -> None:
    played = serve(b"EHLO me\r\nstarttls\r\n", chunk=chunk)
    assert played.error is None
    assert played.kinds == [Connect, Send, StartTls]
    assert played.said[Side.CLIENT] == GREETING + OFFER + GO
    assert played.said[Side.TARGET] == b""


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"HELO me", b"250 mail.example.org"),
        (b"NOOP", b"250 2.0.0 OK"),
        (b"RSET", b"250 2.0.0 OK"),
        (b"MAIL FROM:<a@b>", b"530 5.7.0 Must issue a STARTTLS command first"),
        (b"", b"530 5.7.0 Must issue a STARTTLS command first"),
        (b"\x00\xff\xfe", b"530 5.7.0 Must issue a STARTTLS command first"),
        (b"STARTTLS now", b"501 5.5.4 STARTTLS takes no parameters"),
    ],
)
def test_before_tls_a_client_is_answered_and_the_target_hears_nothing(command: bytes, answer: bytes) -> None:
    played = serve(command + b"\r\nSTARTTLS\r\n")
    assert played.said == {Side.CLIENT: GREETING + answer + b"\r\n" + GO, Side.TARGET: b""}
    assert played.error is None


def test_a_client_that_leaves_is_no_error() -> None:
    played = serve(b"QUIT\r\n")
    assert played.said[Side.CLIENT] == GREETING + b"221 2.0.0 Bye\r\n"
    assert played.error is not None
    assert played.error.level is Level.INFO


def test_what_a_client_sends_behind_starttls_is_tls_and_nothing_else() -> None:
    played = serve(b"STARTTLS\r\nMAIL FROM:<a@b>\r\n")
    assert played.at_tls is not None
    assert played.at_tls[Side.CLIENT] == b"MAIL FROM:<a@b>\r\n"
    assert played.rest[Side.CLIENT] == b""


def test_who_begins_with_tls_gets_the_greeting_under_it() -> None:
    played = serve(b"\x16\x03\x01")
    assert played.kinds == [Connect, StartTls, Send]
    assert played.said[Side.CLIENT] == b""
    assert played.under_tls[Side.CLIENT] == GREETING


def test_a_target_that_refuses_is_understood_by_the_client() -> None:
    played = serve(b"", b"554-not\r\n554 you\r\n")
    assert played.said[Side.CLIENT] == b"554-not\r\n554 you\r\n"
    assert str(played.error) == "smtp: it does not greet: the server said '554-not'"
    assert isinstance(played.steps[-1], Send)
    assert played.steps[-1].farewell


@pytest.mark.parametrize(
    ("client", "target", "said"),
    [
        (b"NOOP\r\n" * (MAX_COMMANDS + 1), GREETING, "commands of the client, and none is for TLS"),
        (b"N" * (MAX_LINE + 1), GREETING, "Line too long"),
        (b"", b"220-" + b"x" * MAX_LINE, "Line too long"),
        (b"", b"220-more\r\n" * 101, "a reply of more than 100 lines"),
        (b"", b"220-mail\r\n250 ready\r\n", "the server said '250 ready'"),
        (b"", b"SSH-2.0-x\r\n", "the server said 'SSH-2.0-x'"),
        (b"", b"220\xff\x00\r\n", "the server said '220\\xff\\x00'"),
    ],
)
@pytest.mark.parametrize("chunk", [0, 100])
def test_what_is_not_the_protocol_ends_it_and_the_client_is_told(
    client: bytes, target: bytes, said: str, chunk: int
) -> None:
    played = serve(client, target, chunk=chunk)
    assert said in str(played.error)
    assert played.said[Side.CLIENT].endswith(smtp.GOODBYE)
    assert StartTls not in played.kinds


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls_and_the_client_greeted_then(chunk: int) -> None:
    played = dial(AGREED, chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls, Send]
    assert played.said == {Side.CLIENT: GREETING, Side.TARGET: b"EHLO localhost\r\nSTARTTLS\r\n"}
    assert played.error is None


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (GREETING + b"250 mail\r\n454 not available\r\n", "it refused STARTTLS: the server said '454 not available'"),
        (GREETING + b"502 no\r\n", "it refused EHLO: the server said '502 no'"),
        (b"554 go away\r\n", "it does not greet: the server said '554 go away'"),
    ],
)
def test_a_server_without_tls_is_no_server_and_its_words_are_not_for_the_client(server: bytes, reason: str) -> None:
    played = dial(server)
    assert str(played.error) == f"smtp: {reason}"
    assert played.said[Side.CLIENT] == smtp.GOODBYE


def test_what_a_server_says_beyond_its_answer_is_not_taken_for_said_under_tls() -> None:
    played = dial(AGREED + b"250 injected\r\n")
    assert played.at_tls is not None
    assert played.at_tls[Side.TARGET] == b"250 injected\r\n"
    assert played.rest == {Side.CLIENT: b"", Side.TARGET: b""}


def test_plain_authentication_comes_under_tls_and_stays_out_of_the_log() -> None:
    played = dial(AGREED, b"250-mail\r\n250 AUTH PLAIN\r\n235 ok\r\n", CREDENTIALS)
    assert played.said[Side.TARGET] == b"EHLO me\r\nSTARTTLS\r\n"
    response = base64.b64encode(b"\0u\0p w")
    assert played.under_tls[Side.TARGET] == b"EHLO me\r\nAUTH PLAIN " + response + b"\r\n"
    assert all(step.secret for step in played.steps if isinstance(step, Send) and response in step.data)
    assert played.said[Side.CLIENT] == GREETING


def test_login_authentication_answers_two_questions() -> None:
    settings = ProtocolSettings(host="me", authentication="login", username="u", password="p")  # noqa: S106
    played = dial(AGREED, b"250 mail\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n", settings)
    assert played.under_tls[Side.TARGET] == b"EHLO me\r\nAUTH LOGIN\r\ndQ==\r\ncA==\r\n"
    assert [step.secret for step in played.steps if isinstance(step, Send)][-3:] == [True, True, False]
    assert played.error is None


def test_a_long_password_goes_on_a_line_of_its_own() -> None:
    settings = ProtocolSettings(username="u", password="p" * 500)
    played = dial(AGREED, b"250 mail\r\n334 \r\n235 ok\r\n", settings)
    assert b"AUTH PLAIN\r\n" in played.under_tls[Side.TARGET]
    assert played.error is None


def test_a_refused_password_is_told_without_it() -> None:
    played = dial(AGREED, b"250 mail\r\n535 wrong\r\n", CREDENTIALS)
    assert str(played.error) == "smtp: PLAIN authentication failed: the server said '535 wrong'"
    assert played.said[Side.CLIENT] == b"535 wrong\r\n"
