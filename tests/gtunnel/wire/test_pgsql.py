"""PostgreSQL's request for TLS on bytes."""

import struct

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.net.errors import ResolveError
from gtunnel.wire import pgsql
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls, Step
from tests.gtunnel.wire.play import CHUNKS, Played, play

SSL = bytes.fromhex("0000000804d2162f")
GSS = bytes.fromhex("0000000804d21630")
CANCEL = bytes.fromhex("0000001004d2162e0000000100000002")
STARTUP = struct.pack("!II", 18, 196608) + b"user\0me\0\0\0"


def serve(client: bytes, *, chunk: int = 0) -> Played:
    return play(pgsql.server(ProtocolSettings(), Scene()), client, chunk=chunk)


def dial(target: bytes, client: bytes = b"", *, chunk: int = 0) -> Played:
    return play(pgsql.client(ProtocolSettings(), Scene()), client, target, tls_side=Side.TARGET, chunk=chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_client_asks_for_tls_and_the_target_is_connected_afterwards(chunk: int) -> None:
    played = serve(SSL + STARTUP, chunk=chunk)
    assert played.kinds == [Send, StartTls, Connect]
    assert played.said == {Side.CLIENT: b"S", Side.TARGET: b""}
    assert played.rest[Side.CLIENT] == b""


def test_a_client_that_would_rather_have_gssapi_may_go_on_to_ask_for_tls() -> None:
    assert serve(GSS + SSL).said[Side.CLIENT] == b"NS"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (STARTUP, "pgsql: the client did not request TLS, but sent a startup packet (protocol 3.0)"),
        (CANCEL, "pgsql: the client did not request TLS, but sent a request to cancel a query in plaintext"),
        (b"GET / HTTP/1.1", "pgsql: the client did not request TLS, but sent 47 45 54 20 2f 20 48 54"),
        (b"\xff" * 8, "pgsql: the client did not request TLS, but sent ff ff ff ff ff ff ff ff"),
        (GSS * 9, "pgsql: the client asks for GSSAPI 3 times, and not for TLS"),
    ],
)
def test_who_does_not_ask_for_tls_is_told_so(said: bytes, reason: str) -> None:
    played = serve(said)
    assert str(played.error) == reason
    answer = played.said[Side.CLIENT].lstrip(b"N")
    assert answer[:1] == b"E"
    assert struct.unpack("!I", answer[1:5])[0] == len(answer) - 1
    assert b"\0C28000\0MTLS is required" in answer


def test_who_cannot_be_connected_is_told_under_tls() -> None:
    def take(step: Step) -> None:
        if isinstance(step, Connect):
            raise ResolveError(host="db", reason="gone")

    played = play(pgsql.server(ProtocolSettings(), Scene()), SSL, take=take)
    assert b"C08001" in played.under_tls[Side.CLIENT]
    assert isinstance(played.error, ResolveError)


@pytest.mark.parametrize("asked", [b"", SSL, GSS + SSL])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_and_a_client_needs_no_tls_of_its_own(asked: bytes, chunk: int) -> None:
    played = dial(b"S", asked + STARTUP, chunk=chunk)
    assert played.error is None
    assert played.said == {Side.CLIENT: b"N" * (len(asked) // 8), Side.TARGET: SSL}
    assert played.under_tls[Side.TARGET] + played.rest[Side.CLIENT] == STARTUP


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"N", "pgsql: PostgreSQL server rejected TLS: set ssl = on in its configuration"),
        (b"E", "pgsql: PostgreSQL server rejected TLS: it said 45"),
    ],
)
def test_a_server_without_tls_is_no_server_and_the_client_is_told(answer: bytes, reason: str) -> None:
    played = dial(answer, STARTUP)
    assert str(played.error) == reason
    assert b"C08001" in played.said[Side.CLIENT]


def test_a_client_that_asks_without_end_is_refused() -> None:
    played = dial(b"S", SSL * 9)
    assert "asks for encryption 3 times" in str(played.error)


def test_what_a_server_says_beyond_its_answer_is_not_taken_for_said_under_tls() -> None:
    played = dial(b"SR\0\0\0\x08\0\0\0\0", STARTUP)
    assert played.at_tls is not None
    assert played.at_tls[Side.TARGET] == b"R\0\0\0\x08\0\0\0\0"
    assert played.rest[Side.TARGET] == b""
    assert not any(isinstance(step, Send) and step.side is Side.CLIENT for step in played.steps)
