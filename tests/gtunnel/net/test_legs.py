"""Legs: one contract for plain and TLS, and what is TLS's own."""

import contextlib
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Protocol

import gevent
import pytest

from gtunnel.net import legs
from gtunnel.net.errors import SocketError, WaitTimeoutError
from gtunnel.net.kernelleg import HandoverLeg
from gtunnel.net.legs import SCRATCH_BYTES, Leg, PlainLeg, Scratch, TlsLeg
from gtunnel.net.waiting import Wakeup
from gtunnel.tls import context
from gtunnel.tls.errors import HandshakeError, TlsStreamError, TlsTruncatedError
from gtunnel.tls.handover import HandoverEngine
from tests.gtunnel.settings import service, tls_context
from tests.support.certificates import Pki
from tests.support.ports import connection
from tests.support.tls import TlsPeer, TruncatedError, client_context
from tests.support.userkernel import UserKernelSocket


class Peer(Protocol):
    """The other end, blocking, for a thread."""

    def send(self, data: bytes) -> None: ...
    def receive_all(self) -> bytes: ...
    def end(self) -> None: ...


class PlainPeer:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive_all(self) -> bytes:
        return b"".join(iter(lambda: self.sock.recv(65536), b""))

    def end(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)


class SecurePeer:
    def __init__(self, peer: TlsPeer) -> None:
        self.peer = peer

    def send(self, data: bytes) -> None:
        self.peer.send(data)

    def receive_all(self) -> bytes:
        return self.peer.receive_all()

    def end(self) -> None:
        self.peer.close_notify()


Ends = tuple[Leg, Peer, Wakeup]


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = connection()
    with ours, theirs:
        yield ours, theirs


def tls_leg(ours: socket.socket, wakeup: Wakeup, pki: Pki) -> TlsLeg:
    return TlsLeg(PlainLeg(ours, wakeup), tls_context(pki).engine(), Scratch(), wakeup)


def kernel_leg(ours: socket.socket, wakeup: Wakeup, pki: Pki) -> HandoverLeg:
    """One that hands over to a played kernel."""
    text = f"accept = 1\nconnect = 2\ncert = {pki.server.pem}\noptions = ENABLE_KTLS"
    engine = context.build(service(text), None, lambda: True).engine()
    assert isinstance(engine, HandoverEngine)
    return HandoverLeg(PlainLeg(UserKernelSocket(ours), wakeup), engine, Scratch(), wakeup)


@pytest.fixture(params=["plain", "TLSv1.2", "TLSv1.3", "kernel"])
def ends(request: pytest.FixtureRequest, sockets: tuple[socket.socket, socket.socket], pki: Pki) -> Iterator[Ends]:
    ours, theirs = sockets
    wakeup = Wakeup()
    leg: Leg
    peer: Peer
    if request.param == "plain":
        leg, peer = PlainLeg(ours, wakeup), PlainPeer(theirs)
    else:
        made: list[TlsPeer] = []
        kernel = request.param == "kernel"
        trusting = client_context(version="1.3" if kernel else request.param[-3:])
        thread = threading.Thread(target=lambda: made.append(TlsPeer(theirs, trusting, server_hostname="localhost")))
        thread.start()
        before = kernel_leg(ours, wakeup, pki) if kernel else tls_leg(ours, wakeup, pki)
        before.handshake(10)
        thread.join()
        after = before.hand_over()[0] if isinstance(before, HandoverLeg) else before
        assert after is not None
        leg, peer = after, SecurePeer(made[0])
    yield leg, peer, wakeup
    with contextlib.suppress(ValueError):
        leg.close(reset=False)
    wakeup.close()


def flush_all(leg: Leg, wakeup: Wakeup) -> None:
    while not leg.flush():
        leg.want(receive=False, send=True)
        assert wakeup.wait(10)


def receive_all(leg: Leg, wakeup: Wakeup, got: bytearray | None = None, room: int = SCRATCH_BYTES) -> bytes:
    """Receive to the end, `room` bytes at a time; `got` has what came before an error."""
    got = bytearray() if got is None else got
    buffer = memoryview(bytearray(room))
    while (count := leg.receive(buffer)) != 0:
        if count is None:
            leg.want(receive=True, send=False)
            assert wakeup.wait(10)
        else:
            got += buffer[:count]
    return bytes(got)


def send_all(leg: Leg, wakeup: Wakeup, data: bytes) -> None:
    rest = memoryview(data)
    while rest or not leg.flush():
        taken = leg.send(rest) if rest else 0
        rest = rest[taken:]
        if rest or leg.blocked:
            leg.want(receive=False, send=True)
            assert wakeup.wait(10)


def test_nothing_yet_is_none_and_not_the_end(ends: Ends) -> None:
    leg, _, _ = ends
    assert leg.receive(memoryview(bytearray(100))) is None
    assert not leg.watch.readable


def test_what_fills_the_buffer_to_its_end_leaves_nothing_pending(ends: Ends) -> None:
    """A connection that then says nothing is as calm as others."""
    leg, peer, wakeup = ends
    buffer = memoryview(bytearray(1000))
    peer.send(bytes(len(buffer)))
    while (count := leg.receive(buffer)) is None:
        leg.want(receive=True, send=False)
        assert wakeup.wait(10)
    assert count == len(buffer)
    assert leg.receive(buffer) is None
    assert not leg.pending


def test_what_the_peer_sends_is_received_whole(ends: Ends) -> None:
    leg, peer, wakeup = ends
    data = bytes(range(256)) * 4000

    def send() -> None:
        peer.send(data)
        peer.end()

    sender = threading.Thread(target=send)
    sender.start()
    assert receive_all(leg, wakeup) == data
    sender.join()


def test_a_small_buffer_loses_nothing(ends: Ends) -> None:
    leg, peer, wakeup = ends
    peer.send(bytes(range(256)) * 200)
    peer.end()
    assert receive_all(leg, wakeup, room=7) == bytes(range(256)) * 200


def test_more_than_the_kernel_takes_is_sent_when_there_is_room(ends: Ends) -> None:
    leg, peer, wakeup = ends
    data = bytes(range(256)) * 40000
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(peer.receive_all()))
    start = gevent.spawn_later(0.05, reader.start)
    send_all(leg, wakeup, data)
    leg.finish()
    flush_all(leg, wakeup)
    start.join()
    reader.join(10)
    assert got == [data]


def test_a_blocked_leg_takes_no_more(ends: Ends) -> None:
    leg, _, _ = ends
    chunk = memoryview(bytes(SCRATCH_BYTES))
    total = 0
    while not leg.blocked:
        total += leg.send(chunk)
        assert total < 1 << 28
    assert leg.send(chunk) == 0


def test_after_it_has_shrunk_a_leg_sends_and_receives(ends: Ends) -> None:
    leg, peer, wakeup = ends
    send_all(leg, wakeup, b"before")
    leg.want(receive=True, send=False)
    leg.shrink()
    send_all(leg, wakeup, b"after")
    peer.send(b"answer")
    peer.end()
    assert receive_all(leg, wakeup) == b"answer"
    leg.finish()
    assert peer.receive_all() == b"beforeafter"


def test_what_had_to_wait_for_room_is_not_kept_after_it_was_sent(ends: Ends) -> None:
    leg, peer, wakeup = ends
    chunk = memoryview(bytes(SCRATCH_BYTES))
    tracemalloc.start()
    try:
        while not leg.blocked:
            leg.send(chunk)
        reader = threading.Thread(target=peer.receive_all)
        reader.start()
        flush_all(leg, wakeup)
        leg.finish()
        flush_all(leg, wakeup)
        reader.join(10)
        traces = tracemalloc.take_snapshot().traces
        assert max((trace.size for trace in traces if legs.__file__ in str(trace.traceback)), default=0) < 1000
    finally:
        tracemalloc.stop()


def test_receiving_goes_on_after_our_end_and_sending_after_theirs(ends: Ends) -> None:
    leg, peer, wakeup = ends
    leg.finish()
    assert peer.receive_all() == b""
    peer.send(b"after your end")
    peer.end()
    assert receive_all(leg, wakeup) == b"after your end"


def test_a_reset_peer_is_an_error(ends: Ends, sockets: tuple[socket.socket, socket.socket]) -> None:
    leg, _, wakeup = ends
    PlainLeg(sockets[1], other := Wakeup()).close(reset=True)
    other.close()
    leg.want(receive=True, send=False)
    assert wakeup.wait(10)
    with pytest.raises(SocketError, match=r"readsocket: Connection reset by peer \(104\)"):
        leg.receive(memoryview(bytearray(10)))


def test_who_was_told_of_a_failure_reads_it_and_an_ordinary_end(
    ends: Ends, sockets: tuple[socket.socket, socket.socket]
) -> None:
    leg, peer, _ = ends
    sockets[1].sendall(b"unread")
    leg.send(memoryview(b"farewell"))
    leg.spare()
    leg.close(reset=True)
    assert peer.receive_all() == b"farewell"


def test_closing_with_reset_resets_the_peer(ends: Ends, sockets: tuple[socket.socket, socket.socket]) -> None:
    leg, _, _ = ends
    leg.close(reset=True)
    with pytest.raises(ConnectionResetError):
        PlainPeer(sockets[1]).receive_all()


def secure(sockets: tuple[socket.socket, socket.socket], pki: Pki, wakeup: Wakeup) -> tuple[TlsLeg, TlsPeer]:
    made: list[TlsPeer] = []
    thread = threading.Thread(
        target=lambda: made.append(TlsPeer(sockets[1], client_context(), server_hostname="localhost"))
    )
    thread.start()
    leg = tls_leg(sockets[0], wakeup, pki)
    leg.handshake(10)
    thread.join()
    return leg, made[0]


def test_a_truncated_stream_gives_what_came_and_then_an_error(
    sockets: tuple[socket.socket, socket.socket], pki: Pki
) -> None:
    wakeup = Wakeup()
    leg, peer = secure(sockets, pki, wakeup)
    peer.send(b"what came")
    peer.cut()
    got = bytearray()
    with pytest.raises(TlsTruncatedError):
        receive_all(leg, wakeup, got)
    assert bytes(got) == b"what came"
    leg.close(reset=False)
    wakeup.close()


def test_a_damaged_record_gives_what_came_before_it_and_then_an_error(
    sockets: tuple[socket.socket, socket.socket], pki: Pki
) -> None:
    wakeup = Wakeup()
    leg, peer = secure(sockets, pki, wakeup)
    peer.send(b"good")
    sockets[1].sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    sockets[1].shutdown(socket.SHUT_WR)
    got = bytearray()
    with pytest.raises(TlsStreamError, match="SSL_read: SSL routines::"):
        receive_all(leg, wakeup, got)
    assert bytes(got) == b"good"
    leg.close(reset=False)
    wakeup.close()


def test_a_silent_peer_times_the_handshake_out(sockets: tuple[socket.socket, socket.socket], pki: Pki) -> None:
    wakeup = Wakeup()
    leg = tls_leg(sockets[0], wakeup, pki)
    with pytest.raises(WaitTimeoutError, match="TIMEOUTbusy exceeded"):
        leg.handshake(0.05)
    leg.close(reset=False)
    wakeup.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.0\r\n\r\n", bytes(1000), b"\x16\x03\x01"])
def test_a_peer_that_speaks_something_else_is_told_so(
    said: bytes, sockets: tuple[socket.socket, socket.socket], pki: Pki
) -> None:
    wakeup = Wakeup()
    leg = tls_leg(sockets[0], wakeup, pki)
    sockets[1].sendall(said)
    sockets[1].shutdown(socket.SHUT_WR)
    with pytest.raises(HandshakeError, match="SSL_accept: "):
        leg.handshake(10)
    leg.close(reset=False)
    wakeup.close()


class Refused(Exception):  # noqa: N818 - what a test raises
    """Not convinced."""


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_last_flight_is_withheld_until_the_peer_has_convinced(
    version: str, sockets: tuple[socket.socket, socket.socket], pki: Pki
) -> None:
    ours, theirs = sockets
    wakeup, calls = Wakeup(), []
    leg = tls_leg(ours, wakeup, pki)
    outcome: list[object] = []
    tickets: list[bool] = []

    def shake() -> None:
        try:
            with TlsPeer(theirs, client_context(version=version), server_hostname="localhost") as peer:
                try:
                    outcome.append(peer.receive())
                finally:
                    tickets.append(peer.tls.session is not None and peer.tls.session.has_ticket)
        except BaseException as error:  # noqa: BLE001 - looked at below
            outcome.append(error)

    def convince() -> None:
        calls.append(1)
        gevent.sleep(0.05)
        raise Refused

    thread = threading.Thread(target=shake)
    thread.start()
    with pytest.raises(Refused):
        leg.handshake(10, convince)
    leg.close(reset=False)
    wakeup.close()
    thread.join(10)
    assert calls == [1]
    if version == "1.2":
        assert isinstance(outcome[0], TruncatedError | OSError)
        assert not tickets
    else:
        # A client of TLS 1.3 has finished before a server judges it; it hears nothing more.
        assert outcome[0] == b"" or isinstance(outcome[0], TruncatedError | OSError)
        assert tickets == [False]


def test_a_handshake_that_convinces_goes_on(sockets: tuple[socket.socket, socket.socket], pki: Pki) -> None:
    ours, theirs = sockets
    wakeup = Wakeup()
    leg = tls_leg(ours, wakeup, pki)
    made: list[TlsPeer] = []
    thread = threading.Thread(
        target=lambda: made.append(TlsPeer(theirs, client_context(), server_hostname="localhost"))
    )
    thread.start()
    leg.handshake(10, lambda: gevent.sleep(0.05))
    thread.join(10)
    send_all(leg, wakeup, b"hello")
    assert made[0].receive_exactly(5) == b"hello"
    assert made[0].tls.session is not None
    assert made[0].tls.session.has_ticket
    leg.close(reset=False)
    wakeup.close()
