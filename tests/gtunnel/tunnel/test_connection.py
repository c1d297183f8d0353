"""The spine: one connection of a service, in this process, over real sockets."""

import contextlib
import gc
import socket
import threading
import weakref
from collections.abc import Callable, Iterator

import gevent
import pytest

from gtunnel.address import from_sockaddr
from gtunnel.conf.settings import ServiceSettings
from gtunnel.events import Level
from gtunnel.net.loops import LoopGuard
from gtunnel.net.transparency import Accepted
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.connection import Connection, client_address
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.workplace import Workplace
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support import servers, tls
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tls import TlsPeer

Pair = tuple[Accepted, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), timeout=10)
        near, peer = listener.accept()
        near.setblocking(False)
        with far:
            address = client_address(from_sockaddr(peer))
            yield Accepted(near, address, from_sockaddr(listener.getsockname())), far


def serve(settings: ServiceSettings, accepted: Accepted, log: ListLog) -> Workplace:
    workplace = Workplace(SharedCounter())
    compiled = compile_service(settings, None, LoopGuard(), log)
    Connection(compiled, accepted, workplace).serve()
    return workplace


def test_a_plain_client_and_a_tls_server(pair: Pair, pki: Pki, server: Callable[..., Server]) -> None:
    accepted, far = pair
    backend = server(tls.serve(tls.tls_echo, tls.server_context(pki.server)))
    log = ListLog()
    answer: list[bytes] = []

    def talk() -> None:
        far.sendall(b"hello")
        far.shutdown(socket.SHUT_WR)
        answer.append(far.recv(100))

    thread = threading.Thread(target=talk)
    thread.start()
    workplace = serve(service(f"client = yes\naccept = 1\nconnect = {backend.endpoint}"), accepted, log)
    thread.join()
    assert answer == [b"hello"]
    assert workplace.connections == set()
    peer = f"127.0.0.1:{far.getsockname()[1]}"
    assert log.texts[0] == "Service [test] started"
    assert f"Service [test] accepted connection from {peer}" in log.texts
    assert any(text.startswith("Service [test] connected remote server from 127.0.0.1:") for text in log.texts)
    assert log.lines[-2] == (Level.NOTICE, "Connection closed: 5 byte(s) sent to TLS, 5 byte(s) sent to socket")
    assert log.texts[-1] == "Service [test] finished (0 left)"


@pytest.mark.parametrize(("option", "ending"), [("yes", ConnectionResetError), ("no", None)])
def test_a_failure_is_one_line_and_reset_decides_how_the_client_learns_of_it(
    pair: Pair, option: str, ending: type[Exception] | None, free_port: Callable[[], int]
) -> None:
    accepted, far = pair
    log = ListLog(Level.NOTICE)
    serve(service(f"client = yes\naccept = 1\nconnect = {free_port()}\nreset = {option}"), accepted, log)
    assert log.texts[-2] == "No more addresses to connect"
    assert log.texts[-1] == "Connection reset: 0 byte(s) sent to TLS, 0 byte(s) sent to socket"
    if ending is None:
        assert far.recv(1) == b""
    else:
        with pytest.raises(ending):
            far.recv(1)


def test_a_bug_is_logged_with_its_traceback_and_ends_only_its_connection(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("gtunnel.tunnel.sides.dial", broken)
    log = ListLog(Level.ERR)
    serve(service("client = yes\naccept = 1\nconnect = 2"), pair[0], log)
    assert log.texts[0] == "INTERNAL ERROR: Traceback (most recent call last):"
    assert "ZeroDivisionError: a bug" in log.texts[-1]
    with pytest.raises(ConnectionResetError):
        pair[1].recv(1)


def test_a_killed_connection_closes_both_sides(pair: Pair, server: Callable[..., Server]) -> None:
    accepted, far = pair
    backend = server(servers.hang)
    log = ListLog()
    greenlet = gevent.spawn(serve, service(f"client = yes\naccept = 1\nconnect = {backend.endpoint}"), accepted, log)
    while not any("connected remote" in text for text in log.texts):
        gevent.sleep(0.01)
    greenlet.kill()
    assert accepted.sock.fileno() == -1
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    assert log.texts[-1].startswith("Service [test] finished")


def vanish(peer: TlsPeer) -> None:
    """The TCP stream ends, and TLS does not."""
    peer.send(b"x")
    peer.cut()


def damage(peer: TlsPeer) -> None:
    """A record that nobody can decrypt."""
    peer.socket.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))


def damage_late(peer: TlsPeer) -> None:
    """A good record, and one that nobody can decrypt, in one segment."""
    peer.tls.write(b"good")
    peer.socket.sendall(peer.unsent() + b"\x17\x03\x03\x00\x20" + bytes(32))


def farewell(peer: TlsPeer) -> None:
    """An orderly end."""
    peer.close_notify()


ENDS = [vanish, damage, damage_late, farewell, TlsPeer.reset]


@pytest.mark.parametrize("calm", [False, True], ids=["busy", "calm"])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
def test_a_connection_that_has_ended_leaves_nothing_for_the_collector(
    pair: Pair,
    pki: Pki,
    server: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[TlsPeer], None],
    calm: bool,
) -> None:
    monkeypatch.setattr("gtunnel.tunnel.relay.CALM_SECONDS", 0.01)
    accepted, far = pair
    backend = server(servers.echo)
    compiled = compile_service(
        service(f"accept = 1\nconnect = {backend.endpoint}\ncert = {pki.server.pem}"), None, LoopGuard(), ListLog()
    )
    host = Bystander() if calm else None
    ended: list[str] = []

    def talk() -> None:
        with tls.TlsPeer(far, tls.client_context(), server_hostname="localhost") as peer:
            peer.send(b"hello")
            assert peer.receive_exactly(5) == b"hello"
            if host is not None:
                assert host.asked_for.wait(10)
            end(peer)
            with contextlib.suppress(OSError, ValueError, tls.TruncatedError):
                peer.receive_all()
        ended.append("talked")

    thread = threading.Thread(target=talk)
    thread.start()
    gc.collect()
    gc.disable()
    try:
        workplace = Workplace(SharedCounter())
        one = Connection(compiled, accepted, workplace, host)
        one.serve()
        with gevent.Timeout(20):
            while host is not None and one in workplace.connections:
                gevent.sleep(0.01)
                if host.resumed:
                    host.resumed.pop().resume()
        gone = weakref.ref(one)
        # The loop has woken us, and lets go of what it woke us with when it goes on.
        gevent.sleep(0)
        thread.join()
        del one
        if host is not None:
            host.connection = None
        assert gone() is None
    finally:
        gc.enable()
    assert ended == ["talked"]


class Bystander:
    """A host that keeps connections until the test takes them up."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.asked_for = threading.Event()
        self.resumed: list[Connection] = []

    def left(self, connection: Connection) -> None:
        self.connection = connection
        self.asked_for.set()

    def resume(self, connection: Connection) -> None:
        self.resumed.append(connection)
