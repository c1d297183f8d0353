"""Accepting in bursts, and waiting where there is no room."""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import gevent
import pytest

from gtunnel.address import HostPort
from gtunnel.events import SilentLog
from gtunnel.net.listen import ListeningSocket, listen
from gtunnel.net.loops import LoopGuard
from gtunnel.tunnel.acceptor import BURST, Acceptor
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.loads import Loads, Share
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support.certificates import Pki


@pytest.fixture
def served(pki: Pki) -> Service:
    """In server mode: a connection waits for its client's handshake, which nobody begins, and ends with the client."""
    settings = service(f"accept = 127.0.0.1:0\nconnect = 1\ncert = {pki.server.pem}")
    return compile_service(settings, None, LoopGuard(), SilentLog())


@pytest.fixture
def listening(served: Service) -> Iterator[ListeningSocket]:
    spec = served.listener_specs()[0]
    assert spec.endpoint == HostPort("127.0.0.1", 0)
    one = listen(spec, served.transparency, SilentLog())
    yield one
    one.close()


@contextlib.contextmanager
def accepting(
    served: Service, listening: ListeningSocket, room: int, log: ListLog, share: Share | None = None
) -> Iterator[Workplace]:
    workplace = Workplace(SharedCounter())
    acceptor = Acceptor(workplace, room, log, share)
    acceptor.add(listening, served)
    acceptor.start()
    try:
        yield workplace
    finally:
        acceptor.stop()
        acceptor.kill()
        until(acceptor.drained)


def connect(listening: ListeningSocket) -> socket.socket:
    return socket.create_connection(listening.sock.getsockname(), timeout=10)


def until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(10):
        while not condition():
            gevent.sleep(0.01)


def test_more_than_a_burst_at_once_is_all_accepted(served: Service, listening: ListeningSocket) -> None:
    clients = [connect(listening) for _ in range(BURST * 2 + 3)]
    with accepting(served, listening, 1000, ListLog()) as workplace:
        until(lambda: len(workplace.connections) == len(clients))
    for client in clients:
        client.close()


def test_without_room_others_wait_and_are_accepted_when_one_has_ended(
    served: Service, listening: ListeningSocket
) -> None:
    log = ListLog()
    clients = [connect(listening) for _ in range(4)]
    with accepting(served, listening, 3, log) as workplace:
        until(lambda: len(workplace.connections) == 3)
        assert log.texts == ["3 connections are all that the descriptor limit allows: accepting is delayed"]
        first = {connection.peer for connection in workplace.connections}
        clients[0].close()
        until(lambda: {connection.peer for connection in workplace.connections} != first)
        until(lambda: len(workplace.connections) == 3)
    for client in clients[1:]:
        client.close()


def test_a_system_without_descriptors_delays_and_does_not_spin(
    served: Service, listening: ListeningSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gtunnel.tunnel.acceptor.PAUSE_SECONDS", 0.05)
    tries: list[int] = []

    def refusing() -> None:
        tries.append(1)
        raise OSError(errno.ENFILE, "Too many open files in system")

    name = listening.sock.getsockname()
    fake = SimpleNamespace(accept=refusing, fileno=listening.sock.fileno, getsockname=lambda: name)
    log = ListLog()
    with connect(listening), accepting(served, SimpleNamespace(sock=fake), 10, log):  # type: ignore[arg-type]
        gevent.sleep(0.12)
    assert 1 <= len(tries) <= 4
    assert log.texts[0] == "accept: Service [test]: Too many open files in system (23): accepting is delayed"


def test_of_two_who_accept_each_takes_about_half(served: Service, listening: ListeningSocket) -> None:
    loads = Loads()
    with (
        accepting(served, listening, 100, ListLog(), loads.take()) as one,
        accepting(served, listening, 100, ListLog(), loads.take()) as other,
    ):
        clients = [connect(listening) for _ in range(8)]
        until(lambda: len(one.connections) + len(other.connections) == len(clients))
        assert abs(len(one.connections) - len(other.connections)) <= 2
    for client in clients:
        client.close()


def test_what_the_other_one_does_not_come_for_is_taken_after_a_moment(
    served: Service, listening: ListeningSocket
) -> None:
    loads = Loads()
    hanging = loads.take()
    assert hanging is not None
    hanging.note(0)
    clients = [connect(listening) for _ in range(8)]
    with accepting(served, listening, 100, ListLog(), loads.take()) as workplace:
        until(lambda: len(workplace.connections) == len(clients))
        # Once it has left, nobody waits for it.
        hanging.leave()
        clients.append(connect(listening))
        until(lambda: len(workplace.connections) == len(clients))
    for client in clients:
        client.close()


def test_after_stop_nothing_is_accepted(served: Service, listening: ListeningSocket) -> None:
    acceptor = Acceptor(workplace := Workplace(SharedCounter()), 10, ListLog())
    acceptor.add(listening, served)
    acceptor.start()
    acceptor.stop()
    with connect(listening):
        gevent.sleep(0.05)
    assert workplace.connections == set()
    assert acceptor.drained()


def test_a_sweep_takes_all_who_wait_and_no_more_than_there_is_room_for(
    served: Service, listening: ListeningSocket
) -> None:
    for room, taken in ((1000, BURST * 2 + 3), (5, 5)):
        clients = [connect(listening) for _ in range(BURST * 2 + 3)]
        workplace = Workplace(SharedCounter())
        acceptor = Acceptor(workplace, room, ListLog())
        acceptor.add(listening, served)
        acceptor.start()
        # At once: nothing else has had its turn.
        acceptor.sweep()
        acceptor.stop()
        gevent.sleep(0.1)
        assert len(workplace.connections) == taken
        for client in clients:
            client.close()
        acceptor.kill()
        until(acceptor.drained)
