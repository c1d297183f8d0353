"""Asking all workers at once: who does not answer costs a limited time, once, and loses no room for orders."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gtunnel.daemon import channel
from gtunnel.daemon.channel import Word
from gtunnel.daemon.survey import survey
from tests.gtunnel.daemon.watching import descriptors

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def workers() -> Iterator[list[Ends]]:
    """Three channels: the supervisor's ends and the workers'."""
    with ExitStack() as stack:
        found = [channel.pair() for _ in range(3)]
        for ends in found:
            for end in ends:
                stack.enter_context(end)
        yield found


def answering(end: socket.socket, answer: object, word: Word = Word.COUNTS) -> threading.Thread:
    """A worker that answers one question."""

    def work() -> None:
        channel.hear(end)
        channel.answer(end, answer, word)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_all_answer(workers: list[Ends]) -> None:
    before = descriptors()
    threads = [answering(theirs, {"n": number}) for number, (_, theirs) in enumerate(workers)]
    found = survey([ours for ours, _ in workers], Word.COUNT, 10)
    for thread in threads:
        thread.join()
    assert found == {ours.fileno(): {"n": number} for number, (ours, _) in enumerate(workers)}
    assert descriptors() == before


def test_those_that_do_not_answer_are_missing_and_share_the_time(workers: list[Ends]) -> None:
    thread = answering(workers[1][1], {})
    began = time.monotonic()
    assert survey([ours for ours, _ in workers], Word.COUNT, 0.3) == {workers[1][0].fileno(): {}}
    assert 0.3 <= time.monotonic() - began < 5
    thread.join()


def test_who_is_gone_or_talks_nonsense_is_not_waited_for(workers: list[Ends]) -> None:
    (one, gone), (other, nonsense), (third, empty) = workers
    gone.close()
    descriptor = os.memfd_create("garbage")
    os.write(descriptor, b"{")
    for end, found in ((nonsense, [descriptor]), (empty, [])):

        def work(end: socket.socket = end, found: list[int] = found) -> None:
            channel.hear(end)
            socket.send_fds(end, [Word.DETAILS.value], found)

        threading.Thread(target=work, daemon=True).start()
    began = time.monotonic()
    assert survey([one, other, third], Word.DETAIL, 30) == {}
    assert time.monotonic() - began < 20
    os.close(descriptor)


def test_other_answers_are_not_taken_for_this_one(workers: list[Ends]) -> None:
    before = descriptors()
    (ours, theirs), *_ = workers
    channel.answer(theirs, ["late"], Word.ANSWER)

    def work() -> None:
        channel.hear(theirs)
        channel.say(theirs, Word.PONG)
        channel.answer(theirs, ["other"], Word.COUNTS)
        channel.answer(theirs, ["right"], Word.DETAILS)

    thread = threading.Thread(target=work)
    thread.start()
    assert survey([ours], Word.DETAIL, 10) == {ours.fileno(): ["right"]}
    thread.join()
    # The other way round, too: a late answer is none to the question of signal USR2.
    channel.answer(theirs, ["late"], Word.COUNTS)
    listing = answering(theirs, [{"peer": "x"}], Word.ANSWER)
    assert channel.ask(ours) == [{"peer": "x"}]
    listing.join()
    assert descriptors() == before


def test_a_worker_that_was_stopped_can_be_told_to_go_however_often_it_was_asked(workers: list[Ends]) -> None:
    ours, theirs = workers[0]
    for _ in range(1000):
        assert survey([ours], Word.COUNT, 0) == {}
    assert channel.say(ours, Word.DRAIN)
    heard = []
    while (word := channel.hear(theirs)) is not Word.DRAIN:
        heard.append(word)
    assert 0 < len(heard) < 100
