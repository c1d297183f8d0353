"""NetBIOS sessions on bytes."""

import pytest

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire import cifs
from gtunnel.wire.steps import Connect, Receive, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play

USE_TLS = bytes.fromhex("830000018e")
REFUSED = bytes.fromhex("8300000181")


def serve(client: bytes, *, chunk: int = 0) -> Played:
    return play(cifs.server(ProtocolSettings(), Scene()), client, chunk=chunk)


def dial(target: bytes, *, chunk: int = 0) -> Played:
    return play(cifs.client(ProtocolSettings(), Scene()), b"", target, tls_side=Side.TARGET, chunk=chunk)


@pytest.mark.parametrize("request_", [b"\x81\0\0\0", b"\x81\0\0\4abcd", b"\x81\0\0\x7c" + bytes(124)])
@pytest.mark.parametrize("chunk", CHUNKS)
def test_who_asks_for_a_session_is_told_to_use_tls(request_: bytes, chunk: int) -> None:
    played = serve(request_ + b"\x16\x03", chunk=chunk)
    assert played.kinds == [Send, StartTls, Connect]
    assert played.said[Side.CLIENT] == USE_TLS
    # Before TLS only what belongs to the request is taken.
    assert played.at_tls is not None
    assert b"\x16\x03".startswith(played.at_tls[Side.CLIENT])


@pytest.mark.parametrize(
    ("request_", "answer", "reason"),
    [
        (b"\x85\0\0\0", REFUSED, "cifs: the client asks for no session: it said 85 00 00 00"),
        (b"\x81\0\0\x7d", b"", "cifs: the client's request of 125 bytes is too long"),
        (b"\x81\1\0\0", b"", "cifs: the client's request of 65536 bytes is too long"),
        (b"GET /", REFUSED, "cifs: the client asks for no session: it said 47 45 54 20"),
    ],
)
def test_who_says_something_else_is_refused(request_: bytes, answer: bytes, reason: str) -> None:
    played = serve(request_)
    assert str(played.error) == reason
    assert played.said[Side.CLIENT] == answer


@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_server_is_asked_for_tls(chunk: int) -> None:
    played = dial(USE_TLS, chunk=chunk)
    assert played.kinds == [Connect, Send, StartTls]
    assert played.said[Side.TARGET] == b"\x81\0\0\0"
    assert played.error is None


@pytest.mark.parametrize("answer", [REFUSED, b"\x82\0\0\0\0", b"HTTP/1.1"])
def test_a_server_without_tls_is_no_server(answer: bytes) -> None:
    played = dial(answer)
    assert str(played.error) == f"cifs: the server does not ask for TLS: it said {answer[:5].hex(' ')}"
    assert not any(isinstance(step, StartTls | Receive) for step in played.steps)
