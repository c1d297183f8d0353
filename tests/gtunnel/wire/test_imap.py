"""IMAP's STARTTLS on bytes."""

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import imap
from gtunnel.wire.starttls import MAX_COMMANDS, MAX_LINE
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play

TARGET = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready\r\n"
GREETING = b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n"


def serve(client: bytes, target: bytes = TARGET, *, chunk: int = 0) -> Played:
    return play(imap.server(ProtocolSettings(), Scene()), client, target, chunk=chunk)


def dial(target: bytes, *, chunk: int = 0) -> Played:
    return play(imap.client(ProtocolSettings(), Scene()), b"", target, tls_side=Side.TARGET, chunk=chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_client_says_starttls_and_tls_begins_after_the_answer(chunk: int) -> None:
    played = serve(b"a capability\r\nb StartTLS\r\nc LOGIN u p\r\n", chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls]
    capabilities = b"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\na OK Done\r\n"
    assert played.said == {Side.CLIENT: GREETING + capabilities + b"b OK Done\r\n", Side.TARGET: b""}
    assert played.rest[Side.CLIENT] == b""


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"a NOOP", b"a OK Done\r\n"),
        (b"a LOGIN u p", b"a NO [PRIVACYREQUIRED] Say STARTTLS first\r\n"),
        (b"a STARTTLS x", b"a BAD STARTTLS takes no arguments\r\n"),
        (b"STARTTLS", b"* BAD This is no command\r\n"),
        (b"\xff\x00 \r", b"* BAD This is no command\r\n"),
        (b"", b"* BAD This is no command\r\n"),
        (b"x" * 65 + b" NOOP", b"* BAD This is no command\r\n"),
    ],
)
def test_before_tls_a_client_is_answered_and_the_target_hears_nothing(command: bytes, answer: bytes) -> None:
    played = serve(command + b"\r\nz STARTTLS\r\n")
    assert played.said == {Side.CLIENT: GREETING + answer + b"z OK Done\r\n", Side.TARGET: b""}


def test_a_client_may_leave() -> None:
    played = serve(b"a LOGOUT\r\n")
    assert played.said[Side.CLIENT] == GREETING + b"* BYE Logging out\r\na OK Done\r\n"
    assert str(played.error) == "imap: the client left without asking for TLS"


def test_who_begins_with_tls_gets_the_targets_own_greeting_under_it() -> None:
    played = serve(b"\x16\x03\x01")
    assert played.under_tls[Side.CLIENT] == TARGET


@pytest.mark.parametrize(
    ("client", "target", "told"),
    [
        (b"", b"* BYE full\r\n", b"* BYE full\r\n"),
        (b"", b"* PREAUTH in\r\n", imap.GOODBYE),
        (b"", b"220 mail\r\n", imap.GOODBYE),
        (b"", b"*" * (MAX_LINE + 1), imap.GOODBYE),
        (b"a" * (MAX_LINE + 1), TARGET, imap.GOODBYE),
        (b"a NOOP\r\n" * (MAX_COMMANDS + 1), TARGET, imap.GOODBYE),
    ],
)
def test_what_is_not_the_protocol_ends_it_and_the_client_is_told(client: bytes, target: bytes, told: bytes) -> None:
    played = serve(client, target)
    assert played.error is not None
    assert played.said[Side.CLIENT].endswith(told)
    assert StartTls not in played.kinds


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls_and_its_plaintext_capabilities_are_forgotten(chunk: int) -> None:
    played = dial(TARGET + b"gt1 ok begin\r\n", chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls, Send]
    assert played.said == {Side.CLIENT: b"* OK ready\r\n", Side.TARGET: b"GT1 STARTTLS\r\n"}
    assert played.error is None


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (TARGET + b"GT1 NO no\r\n", "it refused STARTTLS: the server said 'GT1 NO no'"),
        (TARGET + b"* 1 EXISTS\r\nGT1 OK\r\n", "it refused STARTTLS: the server said '* 1 EXISTS'"),
        (b"* PREAUTH hi\r\n", "it does not greet: the server said '* PREAUTH hi'"),
        (b"* BYE you\r\n", "it does not greet: the server said '* BYE you'"),
    ],
)
def test_a_server_without_tls_is_no_server_and_its_words_are_not_for_the_client(server: bytes, reason: str) -> None:
    played = dial(server)
    assert str(played.error) == f"imap: {reason}"
    assert played.said[Side.CLIENT] == imap.GOODBYE
