"""What is reported, from what the supervisor knows and workers say; fresh for some, a second old for others."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gtunnel.daemon import channel, status, survey
from gtunnel.daemon.channel import Word
from gtunnel.daemon.crew import Member
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.status import Renewal, Reporter
from tests.gtunnel.daemon.crewing import make

Hire = Callable[..., Member]
TEXT = "[a]\nclient = yes\naccept = 127.0.0.1:0\naccept = ::1:0\nconnect = 1\n"


@pytest.fixture
def generation() -> Iterator[Generation]:
    generation = make(TEXT)
    yield generation
    generation.close_all_but(())


@pytest.fixture
def hire(generation: Generation) -> Iterator[Hire]:
    """`hire(answer)`: a worker that answers the next question so; None never answers."""
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def hired(answer: object) -> Member:
        ours, theirs = channel.pair()
        ends.extend((ours, theirs))

        def work() -> None:
            word = channel.hear(theirs)
            channel.answer(theirs, answer, Word.COUNTS if word is Word.COUNT else Word.DETAILS)

        if answer is not None:
            threads.append(threading.Thread(target=work, daemon=True))
            threads[-1].start()
        return Member(len(ends), ours, generation)

    yield hired
    for thread in threads:
        thread.join(10)
    for end in ends:
        end.close()


def counted(
    services: dict[str, int], clients: dict[str, int], number: int | None = None, **more: object
) -> dict[str, Any]:
    usual = {"connections": sum(services.values()), "accepted": 9, "services": services}
    return {**usual, "clients": number or len(clients), "by_client": list(clients.items()), **more}


def test_workers_are_added_up(generation: Generation, hire: Hire) -> None:
    one, other = counted({"a": 2, "old": 1}, {"x": 3}), counted({"a": 1}, {"y": 1})
    members = [hire(one), hire(other)]
    members[1].draining = True
    found = Reporter().report(generation, members, detailed=False)
    assert (found["generation"], found["configuration"], found["last_reload"]) == (1, "test.conf", None)
    (service,) = found["services"]
    assert (service["name"], service["client"], service["transparent"]) == ("a", True, "none")
    assert service["connections"] == 3
    assert [accept.rpartition(":")[0] for accept in service["accept"]] == ["127.0.0.1", "[::1]"]
    assert [worker["state"] for worker in found["workers"]] == ["serving", "draining"]
    assert [worker["connections"] for worker in found["workers"]] == [3, 1]
    assert found["connections"] == {
        "total": 4,
        "by_service": {"a": 3, "old": 1},
        "by_client": [{"client": "x", "connections": 3}, {"client": "y", "connections": 1}],
        "clients": 2,
    }
    assert "list" not in found


def test_who_does_not_answer_is_shown_as_such(
    generation: Generation, hire: Hire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey.survey, "__defaults__", (0.3,))
    found = Reporter().report(generation, [hire(None), hire(counted({"a": 1}, {"x": 1}))], detailed=False)
    assert [worker["answers"] for worker in found["workers"]] == [False, True]
    assert found["workers"][0]["connections"] is None
    assert found["connections"]["total"] == 1


def test_lists_are_capped_and_say_so(generation: Generation, hire: Hire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "MAX_LISTED", 3)
    monkeypatch.setattr(status, "MAX_CLIENTS", 2)
    clients = {f"c{n}": n for n in range(1, 6)}
    members = [
        hire(counted({"a": 15}, clients, list=[{"age": age} for age in (9, 5, 1)])),
        hire(counted({"a": 15}, clients, number=70, list=[{"age": age} for age in (7, 6)])),
    ]
    found = Reporter().report(generation, members, detailed=True)
    assert found["list"] == {"shown": 3, "of": 30, "connections": [{"age": 9}, {"age": 7}, {"age": 6}]}
    assert found["connections"]["by_client"] == [
        {"client": "c5", "connections": 10},
        {"client": "c4", "connections": 8},
    ]
    assert found["connections"]["clients"] is None


def test_the_last_reload_is_told_of_with_the_beginning_of_what_was_wrong(generation: Generation) -> None:
    reporter = Reporter(last=Renewal("reload", done=False, lines=tuple("abcdefghijklm")))
    found = reporter.report(generation, (), detailed=False)["last_reload"]
    assert found["time"]
    assert (found["cause"], found["done"], found["lines"]) == ("reload", False, list("abcdefghij"))


def test_those_who_may_only_ask_share_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(status, "monotonic", lambda: now[0])
    reporter = Reporter()
    made: list[bool] = []

    def ask(*, detailed: bool) -> object:
        def make_one() -> dict[str, Any]:
            made.append(detailed)
            return {"n": len(made)}

        return reporter.recent(make_one, detailed=detailed)

    assert [ask(detailed=False), ask(detailed=False), ask(detailed=True)] == [{"n": 1}, {"n": 1}, {"n": 2}]
    now[0] += status.FRESH_SECONDS + 0.1
    assert ask(detailed=False) == {"n": 3}
    assert made == [False, True, False]
