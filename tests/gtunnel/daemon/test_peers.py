"""Who is at the other end, by the kernel's word."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.daemon.peers import Peer, anybody, peer
from tests.support.tunnels import ROOT


def test_the_peer_is_who_connected() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        found = peer(ours)
    assert found is not None
    assert (found.user, found.groups) == (os.geteuid(), frozenset((os.getegid(), *os.getgroups())))
    assert found.owns_us
    assert anybody(found)


def test_other_sockets_have_none() -> None:
    with socket.socket(socket.AF_INET) as sock:
        found = peer(sock)
        assert found is None or found.user not in (0, os.geteuid())


@pytest.mark.root
@pytest.mark.parametrize("groups", [[], [4321], list(range(10_000, 10_700))], ids=len)
def test_all_its_groups_are_known(tmp_path: Path, groups: list[int]) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        script = f"""
import os, socket
s = socket.socket(socket.AF_UNIX)
os.setgroups({groups!r})
os.setresgid(77, 77, 77)
s.connect({str(path)!r})
s.recv(1)
"""
        client = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
        listener.settimeout(15)
        with listener.accept()[0] as connection:
            found = peer(connection)
        assert client.wait(15) == 0
    assert found is not None
    assert found.groups == {77, *groups}


def test_who_may_ask() -> None:
    assert Peer(os.geteuid(), frozenset()).may_ask(5)
    assert Peer(0, frozenset()).may_ask(5)
    assert Peer(4242, frozenset({1, 5})).may_ask(5)
    assert not Peer(4242, frozenset({1})).may_ask(5)
    assert not Peer(4242, frozenset({1})).owns_us
