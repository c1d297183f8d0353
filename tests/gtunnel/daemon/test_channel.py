"""What supervisor and worker say to each other: nothing is lost, nothing blocks, the end is heard."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from gtunnel.daemon import channel
from gtunnel.daemon.channel import Word
from tests.gtunnel.daemon.watching import descriptors

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The supervisor's end and the worker's."""
    ours, theirs = channel.pair()
    with ours, theirs:
        yield ours, theirs


class Answering(threading.Thread):
    """A worker that answers the next LIST, whatever else comes before."""

    def __init__(self, end: socket.socket, lines: list[dict[str, object]]) -> None:
        super().__init__(daemon=True)
        self._end, self._lines = end, lines
        self.start()

    def run(self) -> None:
        while channel.hear(self._end) is not Word.LIST:
            pass
        channel.answer(self._end, self._lines)


@pytest.mark.parametrize("word", Word)
def test_every_word_is_understood(ends: Ends, word: Word) -> None:
    assert channel.say(ends[0], word)
    assert channel.hear(ends[1]) is word


def test_words_do_not_run_together(ends: Ends) -> None:
    said = [Word.REOPEN, Word.LIST, Word.DRAIN, Word.LIST]
    for word in said:
        channel.say(ends[0], word)
    assert [channel.hear(ends[1]) for _ in said] == said


def test_the_other_s_end_is_heard(ends: Ends) -> None:
    ends[1].close()
    assert channel.hear(ends[0]) is None
    assert not channel.say(ends[0], Word.DRAIN)
    assert channel.ask(ends[0]) == []


def test_what_is_no_word_is_an_error_that_callers_know(ends: Ends) -> None:
    ends[0].send(b"?")
    with pytest.raises(ValueError, match="is not a valid Word"):
        channel.hear(ends[1])


def test_saying_never_blocks(ends: Ends) -> None:
    count = 0
    while channel.say(ends[0], Word.REOPEN):
        count += 1
    assert count > 10
    assert channel.hear(ends[1]) is Word.REOPEN


@pytest.mark.parametrize("count", [0, 1, 50_000])
def test_an_answer_of_any_size_arrives_whole(ends: Ends, count: int) -> None:
    lines: list[dict[str, object]] = [{"service": "x", "peer": f"192.0.2.1:{n}", "to_tls": n} for n in range(count)]
    before = descriptors()
    answering = Answering(ends[1], lines)
    assert channel.ask(ends[0]) == lines
    answering.join()
    assert descriptors() == before


def test_an_answer_is_not_taken_for_that_to_the_next_question(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    before = descriptors()
    monkeypatch.setattr(channel, "ANSWER_SECONDS", 0.05)
    assert channel.ask(ends[0]) == []  # it is busy …
    monkeypatch.undo()
    assert channel.hear(ends[1]) is Word.LIST
    channel.answer(ends[1], [{"peer": "late"}])  # … and answers when nobody waits any more
    answering = Answering(ends[1], [{"peer": "new"}])
    assert channel.ask(ends[0]) == [{"peer": "new"}]
    answering.join()
    assert descriptors() == before


@pytest.mark.parametrize("before_the_question", [True, False])
def test_a_worker_that_nobody_waited_for_is_understood(ends: Ends, *, before_the_question: bool) -> None:
    if before_the_question:
        channel.say(ends[1], Word.READY)

    def work() -> None:
        assert channel.hear(ends[1]) is Word.LIST
        if not before_the_question:
            channel.say(ends[1], Word.READY)
        channel.answer(ends[1], [{"peer": "x"}])

    thread = threading.Thread(target=work)
    thread.start()
    assert channel.ask(ends[0]) == [{"peer": "x"}]
    thread.join()


def test_who_does_not_answer_costs_a_limited_time(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "ANSWER_SECONDS", 0.05)
    assert channel.ask(ends[0]) == []
    assert ends[0].gettimeout() is None


@pytest.mark.parametrize("garbage", [b"", b"{", b"\xff\xfe", b"[" * 100])
def test_an_answer_that_is_none_is_no_answer(ends: Ends, garbage: bytes) -> None:
    descriptor = os.memfd_create("garbage")
    os.write(descriptor, garbage)

    def work() -> None:
        channel.hear(ends[1])
        socket.send_fds(ends[1], [Word.ANSWER.value], [descriptor])

    thread = threading.Thread(target=work)
    thread.start()
    before = descriptors()
    assert channel.ask(ends[0]) == []
    thread.join()
    assert descriptors() == before
    os.close(descriptor)


def test_an_answer_without_anything_is_no_answer(ends: Ends) -> None:
    def work() -> None:
        channel.hear(ends[1])
        channel.say(ends[1], Word.ANSWER)

    thread = threading.Thread(target=work)
    thread.start()
    assert channel.ask(ends[0]) == []
    thread.join()


def test_all_are_asked_at_once_and_who_hangs_costs_the_others_nothing(ends: Ends) -> None:
    there, hung, gone = ends, channel.pair(), channel.pair()
    gone[1].close()

    def work() -> None:
        assert channel.hear(there[1]) is Word.PING
        channel.say(there[1], Word.READY)
        channel.say(there[1], Word.PONG)

    thread = threading.Thread(target=work)
    thread.start()
    # Its answer is there when the time that the first one has used up is over.
    assert channel.ping(hung[0], there[0], gone[0], seconds=0.5) == [False, True, False]
    thread.join()
    assert there[0].gettimeout() is None
    # What comes too late is no answer to the next question.
    assert channel.hear(hung[1]) is Word.PING
    channel.say(hung[1], Word.PONG)
    assert channel.ping(hung[0], seconds=0.05) == [False]
    for end in (*hung, gone[0]):
        end.close()
