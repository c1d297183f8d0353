"""Sessions on a server that speaks stunnel's protocol, which here is one of our own: Debian has none."""

import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import HostPort
from gtunnel.net import sessiond
from gtunnel.net.sessiond import GET, MAX_VALUE, OK, Datagram, Sessiond
from tests.gtunnel.logs import ListLog
from tests.support.sessiond import SessionServer


@pytest.fixture
def server() -> Iterator[SessionServer]:
    with SessionServer() as server:
        yield server


def of(server: SessionServer) -> Sessiond:
    return Sessiond(HostPort("127.0.0.1", server.port))


def test_what_is_kept_is_found(server: SessionServer) -> None:
    store, log = of(server), ListLog()
    store.put(b"id", b"session", 300.0, log)
    assert server.heard.wait(10)
    assert store.get(b"id", log) == b"session"
    assert store.get(b"other", log) is None
    assert server.kept == {b"id".ljust(32, b"\0"): b"session"}
    assert server.seconds == [300]
    assert log.lines == []


def test_answers_to_other_questions_are_not_taken(server: SessionServer) -> None:
    store, log = of(server), ListLog()
    server.kept[b"id".ljust(32, b"\0")] = b"mine"
    for noise in (Datagram(OK, 0, b"other".ljust(32, b"\0"), b"not mine").encode(), b"noise", bytes(1000)):
        server.noise = noise
        assert store.get(b"id", log) == b"mine"


def test_a_server_that_says_nothing_is_left_alone(server: SessionServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessiond, "ANSWER_SECONDS", 0.05)
    server.answers = False
    store, log = of(server), ListLog()
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


def test_a_session_that_is_too_large_is_not_sent(server: SessionServer) -> None:
    log = ListLog()
    of(server).put(b"id", bytes(MAX_VALUE + 1), 300.0, log)
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
