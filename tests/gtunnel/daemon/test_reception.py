"""Taking requests: nobody is waited for, whatever they do, and nobody keeps others out."""

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gtunnel.daemon import reception as module
from gtunnel.daemon.control import MAX_REQUEST, Answer, Control
from gtunnel.daemon.peers import Peer, anybody
from gtunnel.daemon.reception import MAX_WAITING, MAX_WAITING_EACH, Reception
from tests.gtunnel.daemon.watching import descriptors, soon

Dial = Callable[..., socket.socket]


@pytest.fixture
def reception(tmp_path: Path) -> Iterator[Reception]:
    reception = Reception(Control(tmp_path / "x"), anybody)
    yield reception
    reception.close()


@pytest.fixture
def dial(tmp_path: Path) -> Iterator[Dial]:
    """`dial(b"…")`: connect and say something."""
    with ExitStack() as stack:

        def connect(said: bytes = b"") -> socket.socket:
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(10)
            client.connect(str(tmp_path / "x"))
            client.sendall(said)
            return client

        yield connect


def test_a_word_is_a_request_when_it_is_whole(reception: Reception, dial: Dial) -> None:
    client = dial(b"sta")
    assert reception.look() == []
    client.sendall(b"tus\n")
    (request,) = reception.look()
    assert request.word == "status"
    request.answer(Answer(done=True))
    assert client.recv(100) == b'{"done": true, "lines": []}\n'
    assert client.recv(100) == b""
    assert reception.due is None


@pytest.mark.parametrize("nonsense", [b"x" * 1000, b"\n", b" \n"])
def test_nonsense_is_sent_away_at_once(reception: Reception, dial: Dial, nonsense: bytes) -> None:
    client = dial(nonsense)
    assert reception.look() == []
    with pytest.raises(ConnectionResetError) if len(nonsense) > MAX_REQUEST else ExitStack():
        assert client.recv(1) == b""
    assert reception.due is None


def test_what_is_no_text_is_a_word_that_nobody_knows(reception: Reception, dial: Dial) -> None:
    dial(b"\xff\xfe\n")
    (request,) = reception.look()
    assert request.word.isprintable()
    request.answer(Answer(done=False))


def test_who_says_nothing_is_sent_away_in_time_and_nobody_waits(
    reception: Reception, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.2)
    mute, gone = dial(), dial()
    gone.close()
    dial(b"status\n")
    began = time.monotonic()
    (request,) = reception.look()
    request.answer(Answer(done=True))
    due = reception.due
    assert due is not None
    assert began < due < time.monotonic() + 0.2
    mute.settimeout(10)
    assert soon(lambda: not reception.look() and reception.due is None)
    assert mute.recv(1) == b""


def test_a_user_has_only_so_many_that_wait(reception: Reception, dial: Dial) -> None:
    clients = [dial() for _ in range(MAX_WAITING_EACH + 3)]
    assert reception.look() == []
    assert [client.recv(1) for client in clients[MAX_WAITING_EACH:]] == [b""] * 3
    clients[0].sendall(b"status\n")
    (request,) = reception.look()
    request.answer(Answer(done=True))
    dial(b"again\n")
    assert [request.word for request in reception.look()] == ["again"]


def test_all_together_have_only_so_many_that_wait(
    reception: Reception, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = itertools.count(1000)
    monkeypatch.setattr(module, "peer", lambda _: Peer(next(users), frozenset()))
    clients = []
    for _ in range(MAX_WAITING + 1):
        clients.append(dial())
        reception.look()
    assert clients[-1].recv(1) == b""
    clients[0].sendall(b"status\n")
    assert [request.word for request in reception.look()] == ["status"]


def test_whom_it_does_not_admit_is_sent_away_without_a_word(tmp_path: Path, dial: Dial) -> None:
    reception = Reception(Control(tmp_path / "x"), lambda peer: peer.user != os.geteuid())
    client = dial()
    assert reception.look() == []
    assert client.recv(1) == b""
    reception.close()


def test_a_crowd_does_not_hold_up_signals(
    reception: Reception, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BURST", 2)
    for _ in range(3):
        dial(b"status\n")
    assert len(reception.look()) == 2
    assert reception.due is not None
    assert reception.due <= time.monotonic()
    assert len(reception.look()) == 1
    assert reception.due is None


def test_who_does_not_read_the_answer_is_not_waited_for(reception: Reception, dial: Dial) -> None:
    before = descriptors()
    dial(b"status\n")
    (request,) = reception.look()
    request.answer(Answer(done=True, facts={"x": "y" * 5_000_000}))
    gone = dial(b"status\n")
    gone.close()
    for request in reception.look():
        request.answer(Answer(done=True, facts={}))
    assert descriptors() == before + 1


def test_a_worker_lets_go_of_all(reception: Reception, dial: Dial) -> None:
    client, asked = dial(), dial(b"reload\n")
    reception.look()
    reception.let_go()
    assert (client.recv(1), asked.recv(1)) == (b"", b"")


def test_many_at_once_are_answered(reception: Reception, tmp_path: Path) -> None:
    answers: list[bytes] = []

    def client() -> None:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(tmp_path / "x"))
            sock.sendall(b"status\n")
            answers.append(sock.recv(100))

    clients = [threading.Thread(target=client) for _ in range(5)]
    for thread in clients:
        thread.start()

    def served() -> bool:
        for request in reception.look():
            request.answer(Answer(done=True))
        return len(answers) == 5

    assert soon(served)
    for thread in clients:
        thread.join()
