"""Legs whose TLS becomes the kernel's: by a played kernel (tests/support/userkernel.py), against real peers.

What every leg has to do is in test_legs.py, and done there by these as well.
"""

import contextlib
import errno
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest

from gtunnel.net.errors import SocketError
from gtunnel.net.kernelleg import HandoverLeg, KernelTlsLeg
from gtunnel.net.legs import SCRATCH_BYTES, PlainLeg, Scratch
from gtunnel.net.waiting import Wakeup
from gtunnel.tls import context
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import TlsStreamError, TlsTruncatedError
from gtunnel.tls.handover import HandoverEngine
from tests.gtunnel.net.test_legs import receive_all, send_all
from tests.gtunnel.settings import service
from tests.support import needs
from tests.support.certificates import Pki
from tests.support.peers import s_server
from tests.support.ports import free_port
from tests.support.tls import TlsPeer, TruncatedError, client_context
from tests.support.userkernel import DATA, TLS_RX, TLS_TX, UserKernelSocket

KTLS = "options = ENABLE_KTLS"
Sockets = tuple[socket.socket, socket.socket]


def server_engine(pki: Pki, *lines: str) -> HandoverEngine:
    text = "\n".join(("accept = 1", "connect = 2", f"cert = {pki.server.pem}", KTLS, *lines))
    return _handover(context.build(service(text), None, lambda: True).engine())


def client_engine(*lines: str) -> HandoverEngine:
    text = "\n".join(("client = yes", "accept = 1", "connect = 2", KTLS, *lines))
    return _handover(context.build(service(text), None, lambda: True).engine())


def _handover(engine: TlsEngine) -> HandoverEngine:
    assert isinstance(engine, HandoverEngine)
    return engine


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    made = Wakeup()
    yield made
    made.close()


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=10)
        ours, _ = listener.accept()
    with theirs:
        yield ours, theirs


def shaken(
    ours: UserKernelSocket, theirs: socket.socket, engine: HandoverEngine, wakeup: Wakeup
) -> tuple[HandoverLeg, TlsPeer]:
    """A server's leg and its client, after the handshake."""
    made: list[TlsPeer] = []
    thread = threading.Thread(
        target=lambda: made.append(TlsPeer(theirs, client_context(), server_hostname="localhost"))
    )
    thread.start()
    leg = HandoverLeg(PlainLeg(ours, wakeup), engine, Scratch(), wakeup)
    leg.handshake(10)
    thread.join()
    return leg, made[0]


def handed_over(leg: HandoverLeg, wakeup: Wakeup) -> KernelTlsLeg:
    """The kernel's leg, once there is a boundary."""
    while True:
        taken, refusal = leg.hand_over()
        assert not refusal
        if taken is not None:
            return taken
        leg.want(receive=True, send=False)
        assert wakeup.wait(10)
        assert leg.receive(memoryview(bytearray(SCRATCH_BYTES))) is None


@pytest.fixture
def ends(sockets: Sockets, pki: Pki, wakeup: Wakeup) -> Iterator[tuple[KernelTlsLeg, TlsPeer, UserKernelSocket]]:
    """A connection that is the kernel's, and its client."""
    ours = UserKernelSocket(sockets[0])
    leg, peer = shaken(ours, sockets[1], server_engine(pki), wakeup)
    taken = handed_over(leg, wakeup)
    yield taken, peer, ours
    with contextlib.suppress(ValueError):
        taken.close(reset=False)


Ends = tuple[KernelTlsLeg, TlsPeer, UserKernelSocket]


def received(leg: KernelTlsLeg | HandoverLeg, wakeup: Wakeup, size: int) -> bytes:
    got, buffer = bytearray(), memoryview(bytearray(SCRATCH_BYTES))
    while len(got) < size:
        count = leg.receive(buffer)
        if count is None:
            leg.want(receive=True, send=False)
            assert wakeup.wait(10)
        else:
            assert count
            got += buffer[:count]
    return bytes(got)


def test_what_was_sent_before_the_takeover_and_what_comes_after_it_is_one_stream(
    sockets: Sockets, pki: Pki, wakeup: Wakeup
) -> None:
    ours = UserKernelSocket(sockets[0])
    leg, peer = shaken(ours, sockets[1], server_engine(pki), wakeup)
    peer.send(b"a" * 40000)
    assert received(leg, wakeup, 40000) == b"a" * 40000
    send_all(leg, wakeup, b"b" * 40000)
    taken = handed_over(leg, wakeup)
    assert set(ours.halves) == {TLS_TX, TLS_RX}
    peer.send(b"c" * 40000)
    assert received(taken, wakeup, 40000) == b"c" * 40000
    send_all(taken, wakeup, b"d" * 40000)
    assert peer.receive_exactly(80000) == b"b" * 40000 + b"d" * 40000
    taken.close(reset=False)


def test_a_record_on_its_way_is_read_to_its_end_and_no_further(sockets: Sockets, pki: Pki, wakeup: Wakeup) -> None:
    """What has come of the next one is the kernel's to read."""
    ours = UserKernelSocket(sockets[0])
    leg, peer = shaken(ours, sockets[1], server_engine(pki), wakeup)
    peer.tls.write(b"e" * 10000)
    first = peer.unsent()
    peer.tls.write(b"f" * 100)
    second = peer.unsent()
    peer.socket.sendall(first[:20])
    buffer = memoryview(bytearray(SCRATCH_BYTES))
    leg.want(receive=True, send=False)
    assert wakeup.wait(10)
    assert leg.receive(buffer) is None
    assert leg.hand_over() == (None, "")
    peer.socket.sendall(first[20:] + second)
    got = bytearray()
    while (taken := leg.hand_over()[0]) is None:
        count = leg.receive(buffer)
        if count is None:
            leg.want(receive=True, send=False)
            assert wakeup.wait(10)
        else:
            got += buffer[:count]
    assert bytes(got) == b"e" * 10000
    # No watch may tell of it.
    assert taken.pending
    assert taken.watch.readable
    assert received(taken, wakeup, 100) == b"f" * 100
    taken.close(reset=False)


@pytest.mark.parametrize("refused", [TLS_TX, TLS_RX])
def test_a_kernel_that_refuses_is_told_of_or_fails(sockets: Sockets, pki: Pki, wakeup: Wakeup, refused: int) -> None:
    ours = UserKernelSocket(sockets[0], refused)
    leg, peer = shaken(ours, sockets[1], server_engine(pki), wakeup)
    if refused == TLS_RX:
        with pytest.raises(SocketError, match="setsockopt TLS_RX: Invalid argument"):
            leg.hand_over()
        leg.close(reset=False)
        return
    assert leg.hand_over() == (None, "Invalid argument (22)")
    send_all(leg, wakeup, b"goes on")
    assert peer.receive_exactly(7) == b"goes on"
    peer.send(b"both ways")
    assert received(leg, wakeup, 9) == b"both ways"
    assert leg.hand_over()[1]
    leg.close(reset=False)


def test_a_farewell_is_close_notify_and_openssl_is_told(ends: Ends, wakeup: Wakeup) -> None:
    leg, peer, _ = ends
    leg.finish()
    assert peer.receive_all() == b""
    peer.send(b"late")
    peer.close_notify()
    assert receive_all(leg, wakeup) == b"late"
    assert leg.receive(memoryview(bytearray(10))) == 0


def test_a_truncated_stream_gives_what_came_and_then_an_error(ends: Ends, wakeup: Wakeup) -> None:
    leg, peer, _ = ends
    peer.send(b"some of it")
    peer.cut()
    got = bytearray()
    with pytest.raises(TlsTruncatedError):
        receive_all(leg, wakeup, got)
    assert bytes(got) == b"some of it"


def test_where_that_is_allowed_it_is_an_end(sockets: Sockets, pki: Pki, wakeup: Wakeup) -> None:
    engine = server_engine(pki, "options = IGNORE_UNEXPECTED_EOF")
    leg, peer = shaken(UserKernelSocket(sockets[0]), sockets[1], engine, wakeup)
    taken = handed_over(leg, wakeup)
    peer.cut()
    assert receive_all(taken, wakeup) == b""
    taken.close(reset=False)


def test_a_damaged_record_gives_what_came_before_it_then_an_error_and_the_peer_is_told(
    ends: Ends, wakeup: Wakeup
) -> None:
    leg, peer, _ = ends
    peer.tls.write(b"good")
    good = peer.unsent()
    peer.tls.write(b"bad")
    bad = bytearray(peer.unsent())
    bad[-1] ^= 1
    peer.socket.sendall(good + bad)
    got = bytearray()
    with pytest.raises(TlsStreamError, match="SSL_read: SSL routines::decryption failed or bad record mac"):
        receive_all(leg, wakeup, got)
    assert bytes(got) == b"good"
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        peer.receive()


def test_a_fatal_alert_is_told_in_the_words_of_openssl(ends: Ends, wakeup: Wakeup) -> None:
    leg, peer, ours = ends
    peer.socket.sendall(ours.halves[TLS_RX].seal_as_next(21, b"\x02\x50"))
    with pytest.raises(TlsStreamError, match="SSL_read: SSL routines::tlsv1 alert internal error"):
        receive_all(leg, wakeup)


def test_tickets_are_passed_over_and_a_key_update_ends_it(ends: Ends, wakeup: Wakeup) -> None:
    leg, peer, ours = ends
    peer.socket.sendall(ours.halves[TLS_RX].seal_as_next(22, b"\x04\0\0\x03abc"))
    wakeup.wait(0.1)
    assert leg.receive(memoryview(bytearray(100))) is None
    peer.socket.sendall(ours.halves[TLS_RX].seal_as_next(22, b"\x18\0\0\x01\0"))
    with pytest.raises(TlsStreamError, match="KeyUpdate"):
        receive_all(leg, wakeup)


@pytest.mark.parametrize(("kind", "content"), [(22, b"\x0d\0\0\0"), (24, b"x"), (21, b"\x02")])
def test_what_cannot_be_answered_is_an_error(ends: Ends, wakeup: Wakeup, kind: int, content: bytes) -> None:
    leg, _, ours = ends
    ends[1].socket.sendall(ours.halves[TLS_RX].seal_as_next(kind, content))
    with pytest.raises(TlsStreamError, match="unexpected"):
        receive_all(leg, wakeup)


def test_records_without_data_are_no_end(ends: Ends, wakeup: Wakeup) -> None:
    leg, peer, ours = ends
    peer.socket.sendall(ours.halves[TLS_RX].seal_as_next(DATA, b"") + ours.halves[TLS_RX].seal_as_next(DATA, b"x", 1))
    assert received(leg, wakeup, 1) == b"x"


def test_a_farewell_waits_for_room(ends: Ends, wakeup: Wakeup) -> None:
    """And the leg is blocked until nothing of it can be lost."""
    leg, peer, _ = ends
    taken, view = 0, memoryview(bytes(SCRATCH_BYTES))
    while count := leg.send(view):
        taken += count
    leg.finish()
    assert leg.blocked
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(peer.receive_all()))
    thread.start()
    while not leg.flush():
        leg.want(receive=False, send=True)
        assert wakeup.wait(10)
    leg.close(reset=False)
    thread.join()
    assert len(got[0]) == taken


def test_a_reset_peer_is_an_error(ends: Ends, wakeup: Wakeup) -> None:
    leg, peer, _ = ends
    peer.reset()
    with pytest.raises(SocketError, match="Connection reset by peer"):
        receive_all(leg, wakeup)


def test_closing_without_farewell_is_a_truncation(ends: Ends) -> None:
    leg, peer, _ = ends
    leg.close(reset=False)
    with pytest.raises(TruncatedError):
        peer.receive()


def test_openssl_s_client_does_not_notice(pki: Pki, wakeup: Wakeup) -> None:
    needs.program("openssl")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        argv = ["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{listener.getsockname()[1]}"]
        peer = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ours = UserKernelSocket(listener.accept()[0])
    with peer:
        exchanged(peer, ours, pki, wakeup)


def exchanged(peer: "subprocess.Popen[bytes]", ours: UserKernelSocket, pki: Pki, wakeup: Wakeup) -> None:
    """Both ways, before and after the takeover, and to the end."""
    leg = HandoverLeg(PlainLeg(ours, wakeup), server_engine(pki), Scratch(), wakeup)
    leg.handshake(10)
    assert peer.stdin is not None
    assert peer.stdout is not None
    peer.stdin.write(b"x" * 50000)
    peer.stdin.flush()
    assert received(leg, wakeup, 50000) == b"x" * 50000
    taken = handed_over(leg, wakeup)
    send_all(taken, wakeup, b"y" * 50000)
    assert peer.stdout.read(50000) == b"y" * 50000
    peer.stdin.write(b"z" * 50000)
    peer.stdin.flush()
    assert received(taken, wakeup, 50000) == b"z" * 50000
    taken.finish()
    assert peer.stdout.read() == b""
    peer.stdin.close()
    taken.close(reset=False)


def test_openssl_s_server_does_not_notice(pki: Pki, wakeup: Wakeup) -> None:
    """A server that sends tickets, and turns lines round."""
    needs.program("openssl")
    port = free_port()
    with s_server(pki.server, port, "-rev"):
        sock = socket.create_connection(("127.0.0.1", port), timeout=10)
        leg = HandoverLeg(PlainLeg(UserKernelSocket(sock), wakeup), client_engine(), Scratch(), wakeup)
        leg.handshake(10)
        send_all(leg, wakeup, b"abc\n")
        assert received(leg, wakeup, 4) == b"cba\n"
        taken = handed_over(leg, wakeup)
        for _ in range(3):
            send_all(taken, wakeup, b"stressed\n")
            assert received(taken, wakeup, 9) == b"desserts\n"
        taken.close(reset=False)


def test_what_splice_was_told_is_kept_without_its_frames(sockets: Sockets, pki: Pki, wakeup: Wakeup) -> None:
    """They know the leg: it would be there, with its flow and a pipe, until the collector comes by."""
    leg, _ = shaken(UserKernelSocket(sockets[0]), sockets[1], server_engine(pki), wakeup)
    taken, _ = leg.hand_over()
    assert taken is not None
    with pytest.raises(OSError, match="no data") as caught:
        raise OSError(errno.EINVAL, "no data")
    assert caught.value.__traceback__ is not None
    taken.refused(caught.value)
    assert taken._odd is caught.value
    assert caught.value.__traceback__ is None
    taken.close(reset=False)
