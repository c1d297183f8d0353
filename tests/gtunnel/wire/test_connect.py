"""CONNECT on bytes: what the proxy is asked, and what its answers lead to."""

import struct
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.conf.settings import Protocol, ProtocolSettings
from gtunnel.errors import GtunnelError
from gtunnel.wire import connect, ntlm
from gtunnel.wire.steps import Connect, Scene, Send, Side, StartTls
from tests.gtunnel.wire.play import CHUNKS, Played, play

PLAIN = ProtocolSettings(name=Protocol.CONNECT, host="example.org:443")
KNOWN = ProtocolSettings(name=Protocol.CONNECT, host="[2001:db8::1]:443", username="u", password="p")  # noqa: S106
WINDOWS = ProtocolSettings(
    name=Protocol.CONNECT,
    host="example.org:443",
    username="u",
    password="p",  # noqa: S106
    domain="d",
    authentication="ntlm",
)
YES = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"
CHALLENGE = ntlm.SIGNATURE + struct.pack("<IHHII", 2, 0, 0, 48, ntlm.FLAGS) + b"12345678" + bytes(16)
ASKS = (
    b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM " + b64encode(CHALLENGE) + b"\r\n"
)


def ask(settings: ProtocolSettings, said: bytes, chunk: int = 0) -> Played:
    return play(connect.client(settings, Scene()), target=said, tls_side=Side.TARGET, chunk=chunk)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_the_proxy_is_asked_for_the_tls_server(chunk: int) -> None:
    played = ask(PLAIN, YES + b"\x16\x03", chunk)
    assert played.error is None
    assert played.kinds == [Connect, Send, StartTls]
    assert played.said[Side.TARGET] == b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"
    assert played.at_tls is not None
    # Byte by byte, what is TLS has not come yet.
    assert b"\x16\x03".startswith(played.at_tls[Side.TARGET])


def test_basic_authentication_and_a_header_are_secrets() -> None:
    settings = ProtocolSettings(
        name=Protocol.CONNECT,
        host=KNOWN.host,
        username="u",
        password="p",  # noqa: S106
        header="X-Key: hunter2",
    )
    played = ask(settings, YES)
    assert played.said[Side.TARGET] == (
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n"
        b"Proxy-Authorization: Basic dTpw\r\nX-Key: hunter2\r\n\r\n"
    )
    for step in played.steps:
        if isinstance(step, Send) and (b"dTpw" in step.data or b"hunter2" in step.data):
            assert step.secret
            assert step.shown.endswith(b"443\r\n(secret)\r\n\r\n")


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nsorry",
        b"Content-Length: 0\r\n\r\n",
        b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: x\r\n\r\n",
    ],
)
def test_ntlm_takes_two_requests_on_one_connection(body: bytes, chunk: int) -> None:
    played = ask(WINDOWS, ASKS + body + YES, chunk)
    assert played.error is None
    first, second = played.said[Side.TARGET].split(b"CONNECT ")[1:]
    messages = [b64decode(part.split(b"NTLM ")[1].split(b"\r\n")[0]) for part in (first, second)]
    assert [message[8] for message in messages] == [1, 3]
    assert "d".encode("utf-16-le") in messages[1]
    assert b"Proxy-Connection: keep-alive" in first


@pytest.mark.parametrize(
    ("settings", "said", "text"),
    [
        (PLAIN, b"HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy said 'HTTP/1.1 403 Forbidden'"),
        (PLAIN, b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "the proxy said 'HTTP/1.0 502 Bad Gateway'"),
        (PLAIN, ASKS + b"\r\n", r"set protocolUsername and protocolPassword; it offers Negotiate, NTLM"),
        (KNOWN, ASKS + b"\r\n", "user 'u' was not accepted; it offers Negotiate, NTLM"),
        (WINDOWS, ASKS + b"\r\n" + ASKS + b"\r\n", "user 'u' was not accepted"),
        (WINDOWS, b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n", "the proxy offers no NTLM"),
        (WINDOWS, b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM !!\r\n\r\n", "NTLM challenge is none"),
        (WINDOWS, b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM \xff\xe9\r\n\r\n", "NTLM challenge is none"),
        (WINDOWS, ASKS + b"Connection: close\r\n\r\n", "ends the connection in the middle of NTLM"),
        (WINDOWS, ASKS + b"Content-Length: x\r\n\r\n", "has no length"),
        (WINDOWS, ASKS + b"Content-Length: 99999999\r\n\r\n", "longer than"),
        (WINDOWS, ASKS + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "has no length"),
        (PLAIN, b"SSH-2.0-x\r\n", "the proxy does not speak HTTP: 'SSH-2.0-x'"),
        (PLAIN, b"HTTP/1.1 2x0\r\n", "the proxy does not speak HTTP"),
        (PLAIN, b"HTTP/1.1 2000 ok\r\n", "the proxy does not speak HTTP"),
        (PLAIN, b"HTTP/1.1 200 ok\r\n" + b"a: b\r\n" * 101, "more than 100 headers"),
        (PLAIN, b"HTTP/1.1 200 " + b"x" * 20000, "Line too long"),
    ],
)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_a_refusal_is_told_in_the_proxys_words(settings: ProtocolSettings, said: bytes, text: str, chunk: int) -> None:
    played = ask(settings, said, chunk)
    assert StartTls not in played.kinds
    with pytest.raises(GtunnelError, match=text):
        raise played.error or AssertionError


CHALLENGED = b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM "


@given(st.binary(max_size=300))
def test_whatever_a_proxy_says_it_is_an_answer_or_one_error(said: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 ", ASKS, ASKS + b"Transfer-Encoding: chunked\r\n\r\n", CHALLENGED):
        played = ask(WINDOWS, start + said)
        assert played.error is None or isinstance(played.error, GtunnelError)
