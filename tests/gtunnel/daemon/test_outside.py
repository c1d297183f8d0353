"""Requests through the control socket, one after the other."""

import threading
from pathlib import Path

from gtunnel.daemon.control import Answer, Control, ask
from gtunnel.daemon.notify import Notifier
from gtunnel.daemon.outside import Outside


def test_each_request_is_done_and_answered(tmp_path: Path) -> None:
    outside = Outside(Notifier(), Control(tmp_path / "control"))
    answers: dict[str, Answer] = {}

    def client(word: str) -> None:
        answers[word] = ask(tmp_path / "control", word)

    clients = [threading.Thread(target=client, args=(word,)) for word in ("one", "other")]
    for thread in clients:
        thread.start()
    while len(answers) < 2:
        outside.obey({"one": lambda: Answer(done=True, lines=("done",))})
    for thread in clients:
        thread.join()
    assert answers["one"] == Answer(done=True, lines=("done",))
    assert answers["other"] == Answer(done=False, lines=("other: there is no such request",))
    outside.close()


def test_without_a_control_socket_there_is_nothing_to_do() -> None:
    outside = Outside()
    outside.attend()
    outside.obey({})
    outside.let_go()
    outside.close()
