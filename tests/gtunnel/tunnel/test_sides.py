"""Both sides of a connection: where the far one goes, and that nothing that was opened stays open."""

import select
import socket
from collections.abc import Callable, Iterator

import pytest

from gtunnel.address import HostPort, OriginalDestination, SocketAddress, from_sockaddr
from gtunnel.net.errors import NoTargetError
from gtunnel.net.loops import LoopGuard
from gtunnel.net.transparency import Accepted
from gtunnel.net.waiting import Wakeup
from gtunnel.tunnel.building import compile_service
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.shared import SharedCounter
from gtunnel.tunnel.sides import Sides
from gtunnel.tunnel.workplace import Workplace
from gtunnel.wire.steps import Connect, Receive, Send, Side
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import service
from tests.support import servers
from tests.support.servers import Server


class Both:
    """The sides of a connection that was just accepted; `client` is the client's socket."""

    def __init__(self) -> None:
        near, self.client = socket.socketpair()
        near.setblocking(False)
        self.client.settimeout(10)
        self.near = near
        self.wakeup = Wakeup()
        self.log = ListLog()
        self.sides = Sides(Accepted(near, None, None), Workplace(SharedCounter()), self.wakeup)


@pytest.fixture
def both() -> Iterator[Both]:
    both = Both()
    yield both
    both.client.close()
    both.wakeup.close()


def compiled(target: object, loops: LoopGuard | None = None) -> Service:
    """A service that connects there; None: to where its clients are going."""
    way = "transparent = destination" if target is None else f"connect = {target}"
    text = f"client = yes\naccept = 1\n{way}\n"
    return compile_service(service(text), None, loops or LoopGuard(), ListLog())


def test_a_target_is_where_the_service_says_or_the_protocol_or_the_client_meant(
    both: Both, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    here = server(servers.echo)
    host, _, port = here.endpoint.rpartition(":")
    address, nowhere = SocketAddress(host, int(port)), compiled(f"127.0.0.1:{free_port()}")
    sides, log = both.sides, both.log
    sides.begin(nowhere, log)
    with pytest.raises(NoTargetError):
        sides.connect(nowhere, Connect(), None, log)
    for step in (Connect(HostPort(host, int(port))), Connect(addresses=(address,))):
        sides.connect(nowhere, step, None, log)
        assert sides.dialled is not None
        assert sides.dialled.target.address == address
        assert sides.far is not None
        sides.far.close(reset=False)
    sides.scene.destination = OriginalDestination(address)
    # One that the primary service has found is not for a service that says itself where to go.
    with pytest.raises(NoTargetError):
        sides.connect(nowhere, Connect(), None, log)
    sides.connect(compiled(None), Connect(), None, log)
    assert sides.dialled is not None
    assert sides.dialled.local == from_sockaddr(sides.dialled.leg.sock.getsockname())
    # No protocol asks for it.
    assert sides.scene.bound is None
    sides.close(nowhere, None, reset=False)
    assert both.near.fileno() == -1
    assert sides.dialled.leg.sock.fileno() == -1


def test_what_is_said_beyond_the_negotiation_is_for_the_relay(both: Both, server: Callable[..., Server]) -> None:
    served = compiled(server(servers.echo).endpoint)
    sides, log = both.sides, both.log
    sides.begin(served, log)
    both.client.sendall(b"HELLO and more")
    assert sides.receive(served.settings, Receive(Side.CLIENT, 5), log) == b"HELLO"
    sides.send(served.settings, Send(Side.CLIENT, b"hello"), log)
    assert both.client.recv(10) == b"hello"
    sides.connect(served, Connect(), None, log)
    relay = sides.relay(served, log)
    assert (relay.forth.held, relay.back.held) == (b" and more", b"")
    sides.close(served, relay, reset=True)


def test_a_connection_is_no_loop_once_its_target_has_spoken(both: Both, server: Callable[..., Server]) -> None:
    """From then on a client may come from the port that we use in its name."""
    loops, sides = LoopGuard(), both.sides
    served = compiled(None, loops)
    host, _, port = server(servers.echo).endpoint.rpartition(":")
    target = SocketAddress(host, int(port))
    sides.begin(served, both.log)
    sides.scene.destination = OriginalDestination(target)
    sides.connect(served, Connect(), None, both.log)
    assert sides.dialled is not None
    assert sides.dialled.local is not None
    scratch = memoryview(bytearray(100))
    relay = sides.relay(served, both.log)
    relay.forth.pump(scratch)
    assert loops.made(sides.dialled.local, target)
    both.client.sendall(b"x")
    sides.dialled.leg.sock.sendall(b"x")
    select.select([sides.dialled.leg.sock], [], [], 10)
    sides.dialled.leg.watch.readable = True  # as the loop finds
    relay.back.pump(scratch)
    assert not loops.made(sides.dialled.local, target)
    sides.close(served, relay, reset=True)


def test_a_protocol_without_a_target_is_a_bug(both: Both) -> None:
    served = compiled("127.0.0.1:9")
    both.sides.begin(served, both.log)
    with pytest.raises(RuntimeError):
        both.sides.relay(served, both.log)
    with pytest.raises(TypeError):
        both.sides.send(served.settings, Send(Side.TARGET, b"x"), both.log)
    both.sides.close(served, None, reset=False)
