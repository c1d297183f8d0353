"""UDP ASSOCIATE in this process, over real sockets: the client's TCP connection is a leg of a socket pair."""

import socket
from collections.abc import Iterator
from time import monotonic

import gevent
import pytest

from gtunnel.address import ClientAddress, HostPort, SocketAddress
from gtunnel.errors import GtunnelError
from gtunnel.events import SilentLog
from gtunnel.net import datagrams, resolver
from gtunnel.net.datagrams import DatagramRelay
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.legs import PlainLeg
from gtunnel.net.waiting import Wakeup
from gtunnel.wire.socksdatagram import pack, unpack

CLIENT = ClientAddress(SocketAddress("127.0.0.1", 1))
REFUSED = 9


class Association:
    """A relay that runs, its client's datagram socket, and the end of its TCP connection."""

    def __init__(self) -> None:
        near, self.far = socket.socketpair()
        near.setblocking(False)
        self.wakeup = Wakeup()
        self.leg = PlainLeg(near, self.wakeup)
        self.relay = DatagramRelay("127.0.0.1", CLIENT, admit, self.wakeup)
        self.running = gevent.spawn(self.relay.run, self.leg, 10, SilentLog())
        assert self.relay.address is not None
        self.place = self.relay.address.sockaddr
        self.client = udp()

    def close(self) -> None:
        self.far.close()
        self.running.join(10)
        self.relay.close()
        self.leg.close(reset=False)
        self.wakeup.close()
        self.client.close()


def udp(host: str = "127.0.0.1") -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    sock.setblocking(False)
    return sock


def admit(target: HostPort, addresses: tuple[SocketAddress, ...]) -> tuple[SocketAddress, ...]:
    if target.port == REFUSED:
        raise GtunnelError(detail="not allowed")
    return addresses


def receive(sock: socket.socket) -> tuple[bytes, tuple[str, int]]:
    """The next datagram, while the relay runs."""
    for _ in range(500):
        try:
            data, name = sock.recvfrom(65535)
        except BlockingIOError:
            gevent.sleep(0.01)
        else:
            return data, name[:2]
    raise AssertionError("no datagram came")


def nothing(sock: socket.socket) -> bool:
    gevent.sleep(0.1)
    try:
        sock.recvfrom(65535)
    except BlockingIOError:
        return True
    return False


@pytest.fixture
def association() -> Iterator[Association]:
    ours = Association()
    yield ours
    ours.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_datagrams_go_there_and_back(association: Association, host: str) -> None:
    with udp("::1" if host == "::1" else "127.0.0.1") as target:
        port = target.getsockname()[1]
        head = (
            pack(SocketAddress(host, port), b"")
            if host != "localhost"
            else b"\0\0\0\x03\x09localhost" + port.to_bytes(2, "big")
        )
        association.client.sendto(head + b"ping", association.place)
        data, source = receive(target)
        assert data == b"ping"
        target.sendto(b"pong", source)
        answer = unpack(receive(association.client)[0])
        assert answer is not None
        assert (answer.payload, answer.target.port) == (b"pong", port)


def test_strangers_are_not_heard(association: Association) -> None:
    with udp() as target, udp() as stranger, udp("127.0.0.2") as other:
        head = pack(SocketAddress(*target.getsockname()), b"")
        other.sendto(head + b"from another address", association.place)
        association.client.sendto(head + b"ping", association.place)
        data, source = receive(target)
        assert data == b"ping"
        stranger.sendto(head + b"from another port", association.place)
        assert nothing(target)
        # Only whom the client has sent something to may answer.
        stranger.sendto(b"unasked", source)
        assert nothing(association.client)


def test_fragments_garbage_and_targets_that_are_not_allowed_are_dropped(association: Association) -> None:
    with udp() as target:
        head = pack(SocketAddress(*target.getsockname()), b"")
        refused = pack(SocketAddress("127.0.0.1", REFUSED), b"x")
        for data in (b"", b"\0", b"\0\0\x01" + head[3:] + b"fragment", refused):
            association.client.sendto(data, association.place)
        association.client.sendto(head + b"ping", association.place)
        assert receive(target)[0] == b"ping"


def test_it_ends_with_the_tcp_connection(association: Association) -> None:
    gevent.sleep(0.05)
    association.far.close()
    association.running.join(10)
    assert association.running.successful()


def test_it_ends_when_nothing_comes() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    wakeup = Wakeup()
    leg, relay = PlainLeg(near, wakeup), DatagramRelay("127.0.0.1", CLIENT, admit, wakeup)
    with pytest.raises(WaitTimeoutError, match="TIMEOUTidle"):
        relay.run(leg, 0.05, SilentLog())
    relay.close()
    leg.close(reset=False)
    far.close()
    wakeup.close()


def test_strangers_keep_nothing_open() -> None:
    near, far = socket.socketpair()
    near.setblocking(False)
    wakeup = Wakeup()
    leg, relay = PlainLeg(near, wakeup), DatagramRelay("127.0.0.1", CLIENT, admit, wakeup)
    assert relay.address is not None
    place = relay.address.sockaddr
    running = gevent.spawn(relay.run, leg, 0.5, SilentLog())
    with udp("127.0.0.2") as stranger:
        for _ in range(100):
            stranger.sendto(b"awake?", place)
            running.join(0.1)
            if running.ready():
                break
    assert isinstance(running.exception, WaitTimeoutError)
    relay.close()
    leg.close(reset=False)
    far.close()
    wakeup.close()


def test_a_name_is_looked_up_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[HostPort] = []

    def lookup(target: HostPort) -> tuple[SocketAddress, ...]:
        asked.append(target)
        if len(asked) == 1:
            raise GtunnelError(detail="the name server does not answer")
        return (SocketAddress("127.0.0.1", target.port),)

    monkeypatch.setattr(resolver, "lookup", lookup)
    ours = Association()
    with udp() as target:
        port = target.getsockname()[1]
        said = b"\0\0\0\x03\x09localhost" + port.to_bytes(2, "big") + b"ping"
        for _ in range(2):
            ours.client.sendto(said, ours.place)
            assert nothing(target)
        assert len(asked) == 1
        now = monotonic()
        monkeypatch.setattr(datagrams, "monotonic", lambda: now + datagrams.NAME_SECONDS + 1)
        ours.client.sendto(said, ours.place)
        assert receive(target)[0] == b"ping"
        assert len(asked) == 2
    ours.close()
