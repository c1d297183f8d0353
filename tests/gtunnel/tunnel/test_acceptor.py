"""Accepting in bursts, and waiting where there is no room."""

import collections
import contextlib
import errno
import gc
import socket
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.socket
import pytest
from greenlet import greenlet

import gtunnel
from gtunnel.address import HostPort
from gtunnel.events import Level, SilentLog
from gtunnel.net.listen import ListeningSocket, listen
from gtunnel.net.loops import LoopGuard
from gtunnel.tunnel import connection
from gtunnel.tunnel.acceptor import BURST, LONE_TURNS, Acceptor
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.loads import Loads, Share
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support import tls
from tests.support.certificates import Pki
from tests.support.servers import Server

# Calm connections that memory is measured with, and what one of them keeps at most: 5,100 bytes when this was written.
CALM = 20
KEPT_BYTES = 5500


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
    real = listening.sock
    kind = {"family": real.family, "type": real.type, "proto": real.proto}
    fake = SimpleNamespace(_accept=refusing, fileno=real.fileno, getsockname=lambda: name, **kind)
    other = SimpleNamespace(sock=fake, address=listening.address)
    log = ListLog()
    with connect(listening), accepting(served, other, 10, log):  # type: ignore[arg-type]
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


def test_turns_take_one_connection_until_more_are_waiting_and_then_take_bursts(
    served: Service, listening: ListeningSocket
) -> None:
    taken: list[int] = []
    workplace = Workplace(SharedCounter())
    acceptor = Acceptor(workplace, 1000, ListLog())
    acceptor.add(listening, served)
    (door,) = acceptor._doors

    def turn() -> int:
        before = workplace.accepted
        acceptor._ready(door)
        return workplace.accepted - before

    clients = [connect(listening) for _ in range(LONE_TURNS + 2 + 4 + 8 + BURST + BURST + 3)]
    while found := turn():
        taken.append(found)
    assert taken == [1] * LONE_TURNS + [2, 4, 8, BURST, BURST, 3]
    # None is waiting now, so the next ones come one by one.
    clients += [connect(listening) for _ in range(2)]
    assert (turn(), turn(), turn()) == (1, 1, 0)
    for client in clients:
        client.close()
    acceptor.stop()
    acceptor.kill()
    until(acceptor.drained)


def test_what_is_accepted_is_counted_until_it_has_ended(served: Service, listening: ListeningSocket) -> None:
    loads = Loads()
    share, other = loads.take(), loads.take()
    assert share is not None
    assert other is not None
    clients = [connect(listening) for _ in range(3)]
    with accepting(served, listening, 100, ListLog(), share) as workplace:
        until(lambda: share.least() == len(workplace.connections) == 3)
        clients.pop().close()
        until(lambda: share.least() == len(workplace.connections) == 2)
    for client in clients:
        client.close()


def test_an_accepted_socket_is_as_the_standard_library_would_have_made_it(
    served: Service, listening: ListeningSocket
) -> None:
    with connect(listening) as client, accepting(served, listening, 10, ListLog()) as workplace:
        until(lambda: len(workplace.connections) == 1)
        (one,) = workplace.connections
        accepted = one.sides.accepted
        assert accepted is not None
        sock, listener = accepted.sock, listening.sock
        assert (sock.family, sock.type, sock.proto) == (listener.family, listener.type, listener.proto)
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        assert sock.getpeername() == client.getsockname() == accepted.client.sockaddr  # type: ignore[union-attr]


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


class Calm:
    """Connections through a client service to an echo behind TLS, which soon have no greenlet. In this process."""

    def __init__(self, backend: Server, room: int = 1000, level: Level = Level.DEBUG) -> None:
        self.log = ListLog(level)
        ends = f"accept = 127.0.0.1:0\nconnect = {backend.endpoint}"
        settings = service(f"client = yes\nsessionResume = no\n{ends}")
        compiled = compile_service(settings, None, LoopGuard(), self.log)
        self.listening = listen(compiled.listener_specs()[0], compiled.transparency, self.log)
        self.workplace = Workplace(SharedCounter())
        self.acceptor = Acceptor(self.workplace, room, self.log)
        self.acceptor.add(self.listening, compiled)
        self.acceptor.start()
        self.clients: list[gevent.socket.socket] = []

    def connect(self) -> "gevent.socket.socket":
        """A client that has had an answer."""
        client = gevent.socket.create_connection(self.listening.sock.getsockname(), timeout=10)
        self.clients.append(client)
        return self.exchange(client)

    @staticmethod
    def exchange(client: "gevent.socket.socket", data: bytes = b"x") -> "gevent.socket.socket":
        """One message there and back."""
        client.sendall(data)
        back = b""
        while len(back) < len(data):
            back += client.recv(len(data))
        assert back == data
        return client

    def close(self) -> None:
        self.acceptor.stop()
        self.acceptor.kill()
        until(self.acceptor.drained)
        self.listening.close()
        for client in self.clients:
            client.close()


@pytest.fixture
def calm(
    pki: Pki, server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Calm]]:
    # Longer than an acknowledgement that is delayed: the echo does not send before.
    monkeypatch.setattr("gtunnel.tunnel.relay.CALM_SECONDS", 0.1)
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> Calm:
            made = Calm(backend, **options)
            stack.callback(made.close)
            return made

        yield make


def attended() -> int:
    """How many greenlets attend to a connection now."""
    waiting = (found.gr_frame for found in gc.get_objects() if isinstance(found, greenlet))
    return sum(
        any(frame.f_code.co_filename == connection.__file__ for frame, _ in traceback.walk_stack(one))
        for one in waiting
        if one is not None
    )


def test_a_calm_connection_has_no_greenlet_and_goes_on(calm: Callable[..., Calm]) -> None:
    tunnel = calm()
    clients = [tunnel.connect() for _ in range(5)]
    tunnel.exchange(clients[-1], b"y" * 100_000)
    assert attended() > 0
    until(lambda: attended() == 0)
    assert len(tunnel.workplace.connections) == 5
    for client in clients[:-1]:
        tunnel.exchange(client)
        tunnel.exchange(client, b"y" * 100_000)
    until(lambda: attended() == 0)
    tunnel.exchange(clients[0])
    for client in clients:
        client.close()
    until(tunnel.acceptor.drained)
    assert tunnel.workplace.connections == set()
    assert tunnel.log.texts.count("Connection closed: 100002 byte(s) sent to TLS, 100002 byte(s) sent to socket") == 3


def test_a_calm_connection_takes_its_room(calm: Callable[..., Calm]) -> None:
    tunnel = calm(room=2)
    first = tunnel.connect()
    tunnel.connect()
    until(lambda: attended() == 0)
    waiting = gevent.spawn(tunnel.connect)
    gevent.sleep(0.1)
    assert "2 connections are all that the descriptor limit allows: accepting is delayed" in tunnel.log.texts
    assert len(tunnel.workplace.connections) == 2
    first.close()
    waiting.get(timeout=10)


def test_a_calm_connection_is_none_that_has_ended(calm: Callable[..., Calm]) -> None:
    tunnel = calm()
    client = tunnel.connect()
    until(lambda: attended() == 0)
    tunnel.acceptor.stop()
    assert not tunnel.acceptor.drained()
    tunnel.exchange(client)
    client.close()
    until(tunnel.acceptor.drained)


def test_a_calm_connection_is_ended_and_accounted_for_with_its_worker(calm: Callable[..., Calm]) -> None:
    tunnel = calm()
    clients = [tunnel.connect() for _ in range(3)]
    until(lambda: attended() == 0)
    # One is woken and killed in the same turn.
    clients[0].sendall(b"y" * 30_000)
    tunnel.acceptor.kill()
    until(tunnel.acceptor.drained)
    assert tunnel.workplace.connections == set()
    assert sum(text.startswith("Connection reset:") for text in tunnel.log.texts) == 3
    assert not any("INTERNAL ERROR" in text for text in tunnel.log.texts)
    for client in clients:
        with pytest.raises(ConnectionResetError):
            collections.deque(iter(partial(client.recv, 100_000), b""), maxlen=0)


def test_a_calm_connection_keeps_little(calm: Callable[..., Calm]) -> None:
    """Of Python's memory, as its own allocators count it: OpenSSL's comes on top."""
    tunnel = calm(level=Level.ERR)
    tunnel.connect()
    frames = Path(gtunnel.__file__).parent
    tracemalloc.start(1)
    try:
        for _ in range(CALM):
            tunnel.exchange(tunnel.connect(), b"z" * 100_000)
        until(lambda: attended() == 0)
        gc.collect()
        found = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(True, f"{frames}/*"), tracemalloc.Filter(True, "<string>")]
        )
        kept = sum(trace.size for trace in found.traces) / CALM
    finally:
        tracemalloc.stop()
    assert kept < KEPT_BYTES, kept
