"""A relay whose TLS becomes the kernel's: by a played one, with real sockets and a real peer."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from OpenSSL import SSL

from gtunnel.conf.settings import Timeouts
from gtunnel.net.errors import SocketError
from gtunnel.net.kernelleg import HandoverLeg, KernelTlsLeg
from gtunnel.net.legs import Leg, PlainLeg, Scratch
from gtunnel.net.programends import ProgramLeg
from gtunnel.net.waiting import Wakeup
from gtunnel.tls import context
from gtunnel.tls.errors import TlsTruncatedError
from gtunnel.tls.handover import HandoverEngine
from gtunnel.tunnel import takeover
from gtunnel.tunnel.relay import Flow
from gtunnel.tunnel.splicing import Pipes, SplicedFlow
from gtunnel.tunnel.takeover import BULKY_BYTES, KernelRelay
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support.certificates import Pki
from tests.support.ports import connection
from tests.support.tls import TlsPeer, TruncatedError, client_context
from tests.support.userkernel import TLS_RX, UserKernelSocket

TIMEOUTS = Timeouts(busy=10, close=10, connect=10, idle=10)
TAKEN = "TLS is the kernel's from here on, both ways: TLS_AES_256_GCM_SHA384"


@dataclass
class Through:
    """A connection through a relay: its TLS client, its plain target, and what was told of it."""

    tls: TlsPeer
    plain: socket.socket
    relay: KernelRelay
    wakeup: Wakeup
    log: ListLog
    replaced: list[tuple[Leg, Leg]] = field(default_factory=list)

    def run(self) -> bool | None:
        return self.relay.run(Scratch(), self.wakeup, TIMEOUTS)


def make(pki: Pki, wakeup: Wakeup, *lines: str, version: str = "1.3") -> Through:
    (near, client), (far, target) = connection(), connection()
    text = "\n".join(("accept = 1", "connect = 2", f"cert = {pki.server.pem}", "options = ENABLE_KTLS", *lines))
    engine = context.build(service(text), None, lambda: True).engine()
    assert isinstance(engine, HandoverEngine)
    made: list[TlsPeer] = []
    trusting = client_context(version=version)
    thread = threading.Thread(target=lambda: made.append(TlsPeer(client, trusting, server_hostname="localhost")))
    thread.start()
    leg = HandoverLeg(PlainLeg(UserKernelSocket(near), wakeup), engine, Scratch(), wakeup)
    leg.handshake(10)
    thread.join()
    log = ListLog()
    replaced: list[tuple[Leg, Leg]] = []
    relay = KernelRelay(leg, PlainLeg(far, wakeup), lambda new, old: replaced.append((new, old)), Pipes(), log)
    return Through(made[0], target, relay, wakeup, log, replaced)


@pytest.fixture
def wakeup(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wakeup]:
    # A played kernel's TLS is not in the socket.
    monkeypatch.setattr(takeover, "SPLICES", False)
    made = Wakeup()
    yield made
    made.close()


def close(through: Through) -> None:
    for leg in (through.relay._one, through.relay._other):
        leg.close(reset=False)
    through.tls.socket.close()
    through.plain.close()


def receive(sock: socket.socket, size: int) -> bytes:
    got = bytearray()
    while len(got) < size and (more := sock.recv(1 << 16)):
        got += more
    return bytes(got)


def converse(through: Through, before: int, after: int) -> None:
    """A client that sends so much, is answered, sends more, and ends; a target that answers and ends."""

    def client() -> None:
        through.tls.send(b"a" * before)
        assert through.tls.receive_exactly(6) == b"answer"
        through.tls.send(b"b" * after)
        through.tls.close_notify()
        assert through.tls.receive_all() == b"c" * after

    def target() -> None:
        assert receive(through.plain, before) == b"a" * before
        through.plain.sendall(b"answer")
        assert receive(through.plain, after + 1) == b"b" * after
        through.plain.sendall(b"c" * after)
        through.plain.shutdown(socket.SHUT_WR)

    failures: list[BaseException] = []

    def guarded(work: object) -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as error:  # noqa: BLE001 - of a thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (client, target)]
    for thread in threads:
        thread.start()
    assert through.run()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_bulky_connection_becomes_the_kernels_and_ends_in_order(pki: Pki, wakeup: Wakeup) -> None:
    through = make(pki, wakeup)
    old, plain = through.relay._one, through.relay._other
    converse(through, BULKY_BYTES, 1_000_000)
    ((new, replaced),) = through.replaced
    assert isinstance(new, KernelTlsLeg)
    assert replaced is old
    assert (through.relay._one, through.relay._other) == (new, plain)
    assert (through.relay.forth.count, through.relay.back.count) == (BULKY_BYTES + 1_000_000, 1_000_006)
    assert through.log.texts.count(TAKEN) == 1
    close(through)


def test_it_is_taken_over_soon_while_it_goes_on(pki: Pki, wakeup: Wakeup) -> None:
    """Records keep coming without a pause: one of them has to be read to its end, and no further."""
    through = make(pki, wakeup)
    moved: list[int] = []
    take = through.relay._replace

    def replace(new: KernelTlsLeg, old: Leg) -> None:
        moved.append(through.relay.forth.count)
        take(new, old)

    through.relay._replace = replace
    converse(through, 20 * BULKY_BYTES, 10)
    assert moved[0] < 3 * BULKY_BYTES
    close(through)


def test_a_short_one_stays_with_openssl(pki: Pki, wakeup: Wakeup) -> None:
    through = make(pki, wakeup)
    converse(through, 10_000, 1000)
    assert not through.replaced
    assert not through.log.texts
    close(through)


def test_what_cannot_be_taken_over_goes_on_and_is_told_once(pki: Pki, wakeup: Wakeup) -> None:
    through = make(pki, wakeup, version="1.2")
    converse(through, 2 * BULKY_BYTES, 1_000_000)
    assert not through.replaced
    assert through.log.texts == ["TLS stays in user space: it is not TLS 1.3"]
    close(through)


def test_one_that_is_bulky_after_an_end_stays_as_it_is(pki: Pki, wakeup: Wakeup) -> None:
    through = make(pki, wakeup)
    converse(through, 1000, BULKY_BYTES - 10_000)
    assert not through.replaced
    close(through)


def test_a_truncated_stream_is_an_error_and_what_came_before_it_arrives(pki: Pki, wakeup: Wakeup) -> None:
    through = make(pki, wakeup)
    got: list[bytes] = []

    def client() -> None:
        through.tls.send(b"a" * 2 * BULKY_BYTES)
        through.tls.cut()

    threads = [
        threading.Thread(target=client),
        threading.Thread(target=lambda: got.append(receive(through.plain, 2 * BULKY_BYTES))),
    ]
    for thread in threads:
        thread.start()
    with pytest.raises(TlsTruncatedError):
        through.run()
    for thread in threads:
        thread.join()
    assert got == [b"a" * 2 * BULKY_BYTES]
    assert through.replaced
    close(through)


def test_what_the_kernel_has_taken_half_of_gets_nothing_more(pki: Pki, wakeup: Wakeup) -> None:
    """It would protect OpenSSL's records once more, and they would be data to the peer."""
    through = make(pki, wakeup)
    leg = through.relay._one
    assert isinstance(leg, HandoverLeg)
    kernel = leg._plain.sock
    assert isinstance(kernel, UserKernelSocket)
    kernel.refuses = TLS_RX
    got = bytearray()

    def peer() -> None:
        with contextlib.suppress(OSError, SSL.Error, TruncatedError):
            while more := through.tls.receive(1 << 16):
                got.extend(more)

    def target() -> None:
        with contextlib.suppress(OSError):
            through.plain.sendall(b"a" * 350_000)

    threads = [threading.Thread(target=peer), threading.Thread(target=target)]
    for thread in threads:
        thread.start()
    with pytest.raises(SocketError, match="TLS_RX"):
        through.run()
    for ours in (through.relay._one, through.relay._other):
        ours.close(reset=False)
    for thread in threads:
        thread.join()
    through.tls.socket.close()
    through.plain.close()
    assert got.startswith(b"aaa")
    assert set(got) == set(b"a")


def test_a_program_is_not_spliced(pki: Pki, wakeup: Wakeup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end may look like an error, which its leg knows to tell apart."""
    monkeypatch.setattr(takeover, "SPLICES", True)
    through = make(pki, wakeup)
    ours, theirs = connection()
    plain = PlainLeg(ours, wakeup)
    program = ProgramLeg(through.relay._other.sock, wakeup)  # type: ignore[attr-defined]
    renewed = through.relay._renewed
    assert isinstance(renewed(through.relay.forth, plain, plain), SplicedFlow)
    assert type(renewed(through.relay.forth, plain, program)) is Flow
    assert type(renewed(through.relay.back, program, plain)) is Flow
    close(through)
    plain.close(reset=False)
    theirs.close()
