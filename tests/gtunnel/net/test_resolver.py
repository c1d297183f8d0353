"""Look-ups in a worker."""

import socket
import threading
import time

import gevent
import pytest

from gtunnel.address import HostPort, SocketAddress, UnixPath
from gtunnel.net import resolver
from gtunnel.net.errors import ResolveError


def test_literals_paths_and_defaults_start_no_thread() -> None:
    before = threading.active_count()
    assert resolver.lookup(HostPort("192.0.2.1", 80)) == (SocketAddress("192.0.2.1", 80),)
    assert resolver.lookup(HostPort("", 80)) == (SocketAddress("127.0.0.1", 80),)
    assert resolver.lookup(UnixPath("/x")) == (UnixPath("/x"),)
    assert threading.active_count() == before


def test_a_name_is_found() -> None:
    assert SocketAddress("127.0.0.1", 80) in resolver.lookup(HostPort("localhost", 80))


def test_an_unknown_name_raises_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ResolveError):
        resolver.lookup(HostPort("no-such-host.invalid", 80))
    gevent.sleep(0)
    assert capfd.readouterr().err == ""


def test_a_slow_name_server_holds_up_only_who_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()

    def slow(*_: object, **__: object) -> list[object]:
        assert answer.wait(10)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    asking = gevent.spawn(resolver.lookup, HostPort("slow.example", 80))
    began = time.monotonic()
    gevent.sleep(0.05)
    assert not asking.ready()
    assert time.monotonic() - began < 5
    answer.set()
    assert asking.get(timeout=10) == (SocketAddress("192.0.2.7", 80),)
