"""Requests through the control sockets, one after the other."""

import socket
import threading
from pathlib import Path

import pytest

from gtunnel.daemon.control import Answer, Control, ask
from gtunnel.daemon.notify import Notifier
from gtunnel.daemon.outside import Outside
from gtunnel.daemon.peers import anybody
from gtunnel.daemon.reception import Reception

DONE = Answer(done=True, lines=("done",))


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    control, public = (Reception(Control(tmp_path / name), anybody) for name in ("control", "public"))
    return Outside(Notifier(), control, public)


def test_each_request_is_done_and_answered_by_who_may_ask_for_what(outside: Outside, tmp_path: Path) -> None:
    answers: dict[tuple[str, str], Answer] = {}

    def client(place: str, word: str) -> None:
        answers[place, word] = ask(tmp_path / place, word)

    asked = [("control", "do"), ("control", "other"), ("public", "do"), ("public", "tell")]
    clients = [threading.Thread(target=client, args=one) for one in asked]
    for thread in clients:
        thread.start()
    while len(answers) < len(asked):
        outside.obey({"do": lambda: DONE}, {"tell": lambda: DONE})
    for thread in clients:
        thread.join()
    assert answers["control", "do"] == answers["public", "tell"] == DONE
    assert answers["control", "other"] == Answer(done=False, lines=("other: there is no such request",))
    assert answers["public", "do"] == Answer(done=False, lines=("do: there is no such request",))
    outside.close()
    assert list(tmp_path.iterdir()) == []


def test_somebody_who_says_nothing_has_to_be_sent_away(outside: Outside, tmp_path: Path) -> None:
    assert outside.due is None
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(str(tmp_path / "public"))
        outside.obey({}, {})
        assert outside.due is not None
        outside.let_go()
        assert mute.recv(1) == b""
    assert outside.due is None
    outside.close()


def test_without_a_control_socket_there_is_nothing_to_do() -> None:
    outside = Outside()
    outside.attend()
    outside.obey({}, {})
    assert outside.due is None
    outside.let_go()
    outside.close()
