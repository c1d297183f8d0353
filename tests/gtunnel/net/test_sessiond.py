"""Sessions on a server that speaks stunnel's protocol, which here is one of our own: Debian has none."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import HostPort
from gtunnel.net import sessiond
from gtunnel.net.sessiond import ERROR, GET, MAX_VALUE, NEW, OK, Datagram, Sessiond
from tests.gtunnel.logs import ListLog


class Server:
    """Keeps sessions in memory. `answers` False: it listens, and says nothing; `noise` is sent before each answer."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = HostPort("127.0.0.1", self.sock.getsockname()[1])
        self.kept: dict[bytes, bytes] = {}
        self.seconds: list[int] = []
        self.answers = True
        self.noise = b""
        self.heard = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            data, peer = self.sock.recvfrom(2000)
            if data == b"stop":
                return
            question = Datagram.decode(data)
            assert question is not None
            if question.kind == NEW:
                self.kept[question.key] = question.value
                self.seconds.append(question.seconds)
            self.heard.set()
            if not self.answers:
                continue
            if self.noise:
                self.sock.sendto(self.noise, peer)
            value = self.kept.get(question.key, b"")
            self.sock.sendto(Datagram(OK if value else ERROR, 0, question.key, value).encode(), peer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", self.sock.getsockname())
        self._thread.join()
        self.sock.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def test_what_is_kept_is_found(server: Server) -> None:
    store, log = Sessiond(server.address), ListLog()
    store.put(b"id", b"session", 300.0, log)
    assert server.heard.wait(10)
    assert store.get(b"id", log) == b"session"
    assert store.get(b"other", log) is None
    assert server.kept == {b"id".ljust(32, b"\0"): b"session"}
    assert server.seconds == [300]
    assert log.lines == []


def test_answers_to_other_questions_are_not_taken(server: Server) -> None:
    store, log = Sessiond(server.address), ListLog()
    server.kept[b"id".ljust(32, b"\0")] = b"mine"
    for noise in (Datagram(OK, 0, b"other".ljust(32, b"\0"), b"not mine").encode(), b"noise", bytes(1000)):
        server.noise = noise
        assert store.get(b"id", log) == b"mine"


def test_a_server_that_says_nothing_is_left_alone(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessiond, "ANSWER_SECONDS", 0.05)
    server.answers = False
    store, log = Sessiond(server.address), ListLog()
    assert store.get(b"id", log) is None
    server.answers = True
    assert store.get(b"id", log) is None
    assert len(log.lines) == 1


def test_a_server_that_is_not_there_or_has_no_address() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        free = HostPort("127.0.0.1", sock.getsockname()[1])
    for address in (free, HostPort("no-such-host.invalid", 1)):
        log = ListLog()
        store = Sessiond(address)
        assert store.get(b"id", log) is None
        store.put(b"id", b"session", 300.0, log)
        (text,) = log.texts
        assert "sessions are not kept there for now" in text


def test_a_session_that_is_too_large_is_not_sent(server: Server) -> None:
    log = ListLog()
    Sessiond(server.address).put(b"id", bytes(MAX_VALUE + 1), 300.0, log)
    assert log.texts == ["sessiond: a session of 513 bytes is too large to be kept"]
    assert not server.heard.is_set()


def test_a_datagram_is_as_the_protocol_says() -> None:
    data = Datagram(GET, 7, b"k" * 32, b"v").encode()
    assert data == struct.pack("!BBH", 1, 1, 7) + b"k" * 32 + b"v"
    assert Datagram.decode(data) == Datagram(GET, 7, b"k" * 32, b"v")
    assert Datagram.decode(b"\x02" + data[1:]) is None


@given(st.binary(max_size=600))
def test_any_datagram_is_one_or_none(data: bytes) -> None:
    found = Datagram.decode(data)
    assert found is None or found.encode() == data
