"""Counting over all workers: exactly, also when one of them dies, and when keys come and go."""

import os

import pytest

from gtunnel.address import SocketAddress
from gtunnel.tunnel import census as module
from gtunnel.tunnel.census import Census, Register, neighbourhood


def taken(census: Census) -> int:
    table = census.take()
    assert table is not None
    return table


def test_a_limit_holds_over_all_tables() -> None:
    census = Census()
    one, other = taken(census), taken(census)
    assert census.enter(one, b"a", 2)
    assert census.enter(other, b"a", 2)
    assert not census.enter(one, b"a", 2)
    assert census.enter(one, b"b", 2)
    census.leave(other, b"a")
    assert census.enter(one, b"a", 2)


def test_what_a_dead_worker_counted_is_gone_with_it() -> None:
    census = Census()
    one, other = taken(census), taken(census)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if census.enter(other, b"a", 1) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert not census.enter(one, b"a", 1)
    census.give_back(other)
    assert census.enter(one, b"a", 1)
    assert taken(census) == other


def test_keys_that_are_gone_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FULL", 4)
    census = Census()
    table = taken(census)
    assert census.enter(table, b"stays", 10)
    for number in range(50):
        assert census.enter(table, b"%d" % number, 1), number
        census.leave(table, b"%d" % number)
    assert not census.enter(table, b"stays", 1)


def test_where_there_is_no_room_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FULL", 2)
    census = Census()
    table = taken(census)
    assert census.enter(table, b"1", 9)
    assert census.enter(table, b"2", 9)
    assert not census.enter(table, b"3", 9)


def test_there_are_so_many_tables() -> None:
    census = Census()
    assert [census.take() for _ in range(module.TABLES)] == list(range(module.TABLES))
    assert census.take() is None
    uncounted = Register(census, None)
    assert uncounted.enter(b"a", 0)
    uncounted.leave(b"a")


def test_a_host_has_all_of_its_network() -> None:
    assert neighbourhood(SocketAddress("192.0.2.1", 1)) == "192.0.2.1"
    one, other = SocketAddress("2001:db8:0:1::1", 1), SocketAddress("2001:db8:0:1:ffff::2", 2)
    assert neighbourhood(one) == neighbourhood(other) == "2001:db8:0:1::/64"
