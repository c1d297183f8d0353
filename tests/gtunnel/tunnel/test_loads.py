"""The workers' loads, seen from several processes."""

import os

from gtunnel.tunnel.loads import PLACES, SLACK_PART, Loads, Share


def taken(loads: Loads) -> Share:
    share = loads.take()
    assert share is not None
    return share


def test_alone_nobody_is_ahead() -> None:
    share = taken(Loads())
    assert not share.is_ahead(0)
    share.note(1000)
    assert not share.is_ahead(1000)


def test_with_few_connections_one_more_is_ahead_and_with_many_a_part() -> None:
    loads = Loads()
    one, other = taken(loads), taken(loads)
    other.note(3)
    one.note(3)
    assert not one.is_ahead(3)
    one.note(4)
    assert one.is_ahead(4)
    assert not other.is_ahead(3)
    many = 100 * SLACK_PART
    other.note(many)
    one.note(many + 100)
    assert not one.is_ahead(many + 100)
    one.note(many + 101)
    assert one.is_ahead(many + 101)
    assert one.least() == many


def test_who_accepts_no_more_or_is_gone_does_not_count() -> None:
    loads = Loads()
    one, other = taken(loads), taken(loads)
    one.note(5)
    assert not one.is_ahead(5), "the other one does not accept yet"
    other.note(0)
    assert one.is_ahead(5)
    other.leave()
    assert not one.is_ahead(5)
    other.note(0)
    loads.give_back(other)
    assert not one.is_ahead(5)


def test_what_one_process_notes_another_sees_also_of_those_who_came_later() -> None:
    loads = Loads()
    one = taken(loads)
    one.note(2)
    ready, told = os.pipe()
    answer, answered = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(ready, 1)
        os.write(answered, b"ahead" if one.is_ahead(2) else b"level")
        os._exit(0)
    later = taken(loads)
    later.note(0)
    os.write(told, b"x")
    assert os.read(answer, 10) == b"ahead"
    os.waitpid(child, 0)
    for descriptor in (ready, told, answer, answered):
        os.close(descriptor)


def test_places_are_bounded_and_come_again() -> None:
    loads = Loads()
    shares = [taken(loads) for _ in range(PLACES)]
    assert loads.take() is None
    loads.give_back(shares[7])
    assert taken(loads) == shares[7]
    loads.give_back(None)
