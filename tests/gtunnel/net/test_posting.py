import socket
import time

import gevent
import pytest

from gtunnel.address import parse_http_url
from gtunnel.net.posting import post
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.judgement import MAX_ANSWER_BYTES
from tests.support.ports import free_port
from tests.support.revocation import Responder
from tests.support.servers import Handler, Server


def refusal(url: str) -> str:
    """Why a responder's answer does not come."""
    with pytest.raises(InconclusiveError) as caught, gevent.Timeout(10):
        post(parse_http_url(url), b"question", 0)
    return str(caught.value)


def saying(data: bytes) -> Handler:
    """A server that hears the question, says that, and ends."""

    def handle(connection: socket.socket) -> None:
        heard = b""
        while not heard.endswith(b"question"):
            heard += connection.recv(65536)
        connection.sendall(data)

    return handle


def test_an_answer_comes() -> None:
    with Responder(lambda request: request[::-1]) as responder:
        assert post(parse_http_url(responder.url), b"question", 0) == b"noitseuq"
        by_name = responder.url.replace("127.0.0.1", "localhost")
        assert post(parse_http_url(by_name), b"", 0) == b""


def test_a_request_is_what_responders_expect() -> None:
    seen: list[bytes] = []

    def handle(connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b"question"):
            data += connection.recv(65536)
        seen.append(data)
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\nanswer")

    with Server(handle) as server:
        assert post(parse_http_url(f"http://{server.endpoint}/a/b?c"), b"question", 0) == b"answer"
    head = seen[0].decode()
    assert head.startswith("POST /a/b?c HTTP/1.1\r\n")
    assert f"Host: {server.endpoint}\r\n" in head
    assert "Content-Type: application/ocsp-request\r\n" in head
    assert "Content-Length: 8\r\n" in head


def test_chunks_are_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nans\r\n3\r\nwer\r\n0\r\n\r\n"
    with Server(saying(chunked)) as server:
        assert post(parse_http_url(f"http://{server.endpoint}/"), b"question", 0) == b"answer"


def test_nobody_there_is_told() -> None:
    port = free_port()
    assert refusal(f"http://127.0.0.1:{port}/") == f"OCSP: responder http://127.0.0.1:{port}/: Connection refused (111)"


def test_a_name_without_an_address_is_told() -> None:
    assert "Failed to resolve the OCSP responder address" in refusal("http://nobody.invalid/")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Remote end closed connection without response"),
        (b"rubbish\r\n\r\n", "no HTTP: BadStatusLine"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "the answer is incomplete"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n", "no HTTP: HTTPException"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70000, "no HTTP: LineTooLong"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "no HTTP: "),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "HTTP status 404"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\n\r\n", "HTTP status 301"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(MAX_ANSWER_BYTES + 1), f"more than {MAX_ANSWER_BYTES} bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_answer_is_told(data: bytes, why: str) -> None:
    with Server(saying(data)) as server:
        assert why in refusal(f"http://{server.endpoint}/")


def test_others_go_on_while_a_responder_is_slow() -> None:
    turns: list[int] = []

    def count() -> None:
        for number in range(10):
            gevent.sleep(0.001)
            turns.append(number)

    def reply(_: bytes) -> bytes:
        # In the server's own thread: it answers only when the others had their turns.
        while len(turns) < 10:
            time.sleep(0.001)
        return b"answer"

    with Responder(reply) as responder:
        other = gevent.spawn(count)
        with gevent.Timeout(10):
            assert post(parse_http_url(responder.url), b"question", 0) == b"answer"
        other.join(5)
