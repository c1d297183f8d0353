"""Recognising our own connections."""

import os

from hypothesis import given
from hypothesis import strategies as st

from gtunnel.address import SocketAddress
from gtunnel.net.loops import LoopGuard

HERE = SocketAddress("192.0.2.1", 40000)
THERE = SocketAddress("198.51.100.2", 443)


def test_what_was_noted_is_recognised_until_it_is_forgotten() -> None:
    guard = LoopGuard()
    assert not guard.made(HERE, THERE)
    guard.note(HERE, THERE)
    assert guard.made(HERE, THERE)
    guard.forget(HERE, THERE)
    assert not guard.made(HERE, THERE)


def test_another_connection_is_not_ours() -> None:
    guard = LoopGuard()
    guard.note(HERE, THERE)
    assert not guard.made(HERE, THERE.with_port(80))
    assert not guard.made(SocketAddress("192.0.2.2", 40000), THERE)
    assert not guard.made(HERE.with_port(40001), THERE)


def test_forgetting_leaves_a_later_connection_from_the_same_port_alone() -> None:
    guard = LoopGuard()
    guard.note(HERE, THERE)
    guard.note(HERE, THERE.with_port(80))
    guard.forget(HERE, THERE)
    assert guard.made(HERE, THERE.with_port(80))


def test_a_forked_worker_recognises_what_another_noted() -> None:
    guard = LoopGuard()
    pid = os.fork()
    if pid == 0:
        guard.note(HERE, THERE)
        os._exit(0)
    os.waitpid(pid, 0)
    assert guard.made(HERE, THERE)


@given(st.integers(0, 65535))
def test_every_port_has_its_entry(port: int) -> None:
    guard = LoopGuard()
    guard.note(HERE.with_port(port), THERE)
    assert guard.made(HERE.with_port(port), THERE)
