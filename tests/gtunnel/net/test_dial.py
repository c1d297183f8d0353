"""Connecting to targets."""

import errno
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gevent
import pytest

from gtunnel.address import ClientAddress, SocketAddress, UnixPath
from gtunnel.conf.settings import SocketOption
from gtunnel.net.dial import Dialled, dial
from gtunnel.net.errors import NoTargetError
from gtunnel.net.loops import LoopGuard
from gtunnel.net.names import Target
from gtunnel.net.outgoing import Outgoing
from gtunnel.net.transparency import KeepSource, Opaque
from gtunnel.net.waiting import Wakeup
from tests.gtunnel.logs import ListLog
from tests.support.servers import Server, discard

PLAIN = Outgoing(seconds=5, options=(), strategy=Opaque(), local=None, mark=0, loops=None)
PortFactory = Callable[[], int]


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    one = Wakeup()
    yield one
    one.close()


def to(server: Server) -> Target:
    return Target(SocketAddress(server.host, server.port), None)


def at(port: int, host: str = "127.0.0.1") -> Target:
    return Target(SocketAddress(host, port), None)


def closing(dialled: Dialled) -> Dialled:
    dialled.leg.close(reset=False)
    return dialled


def local_of(dialled: Dialled) -> SocketAddress:
    assert dialled.local is not None
    return dialled.local


def test_the_first_target_that_answers_is_taken(echo: Server, free_port: PortFactory, wakeup: Wakeup) -> None:
    log, dead = ListLog(), free_port()
    dialled = dial(PLAIN, [at(dead), to(echo), at(1)], None, wakeup, log)
    assert dialled.target == to(echo)
    assert local_of(dialled).host == "127.0.0.1"
    closing(dialled)
    assert log.texts == [
        f"s_connect: connecting 127.0.0.1:{dead}",
        f"s_connect: connect 127.0.0.1:{dead}: Connection refused (111)",
        f"s_connect: connecting {to(echo)}",
        f"s_connect: connected {to(echo)}",
    ]


def test_no_target_is_an_error(wakeup: Wakeup, free_port: PortFactory) -> None:
    for targets in ([], [at(free_port())]):
        with pytest.raises(NoTargetError):
            dial(PLAIN, targets, None, wakeup, ListLog())


def test_a_target_that_does_not_answer_is_given_up(wakeup: Wakeup, echo: Server) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        log = ListLog()
        silent = at(full.getsockname()[1])
        closing(dial(replace(PLAIN, seconds=0.1), [silent, to(echo)], None, wakeup, log))
        assert f"s_connect: s_poll_wait {silent}: TIMEOUTconnect exceeded" in log.texts
        for filler in fillers:
            filler.close()


def test_a_unix_socket(server: Callable[..., Server], tmp_path: Path, wakeup: Wakeup) -> None:
    server(discard, str(tmp_path / "s"))
    dialled = dial(PLAIN, [Target(UnixPath(str(tmp_path / "s")), None)], None, wakeup, ListLog())
    assert dialled.local is None
    closing(dialled)


def test_a_unix_socket_that_is_not_there(tmp_path: Path, wakeup: Wakeup) -> None:
    log = ListLog()
    with pytest.raises(NoTargetError):
        dial(PLAIN, [Target(UnixPath(str(tmp_path / "s")), None)], None, wakeup, log)
    assert log.texts[-1] == f"s_connect: connect {tmp_path}/s: No such file or directory (2)"


def test_local_is_bound(echo: Server, wakeup: Wakeup) -> None:
    dialled = dial(replace(PLAIN, local="127.0.0.5"), [to(echo)], None, wakeup, ListLog())
    assert local_of(dialled).host == "127.0.0.5"
    closing(dialled)


def test_local_of_another_family_fails_that_target_only(echo: Server, wakeup: Wakeup) -> None:
    log = ListLog()
    with pytest.raises(NoTargetError):
        dial(replace(PLAIN, local="::1"), [to(echo)], None, wakeup, log)
    assert log.texts[-1] == "s_connect: local = ::1: not an address of the target's family"


def test_options_are_set_on_the_connected_socket(echo: Server, wakeup: Wakeup) -> None:
    option = SocketOption(name="SO_KEEPALIVE", level=socket.SOL_SOCKET, number=socket.SO_KEEPALIVE, value=1)
    dialled = dial(replace(PLAIN, options=(option,)), [to(echo)], None, wakeup, ListLog())
    assert dialled.leg.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    closing(dialled)


def test_a_full_descriptor_table_is_waited_for(
    echo: Server, wakeup: Wakeup, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = iter([OSError(errno.EMFILE, "Too many open files"), OSError(errno.ENFILE, "Too many open files")])

    class Scarce(socket.socket):
        def __init__(self, family: int = -1, kind: int = -1, proto: int = -1, fileno: int | None = None) -> None:
            refusal = next(refusals, None) if fileno is None else None
            if refusal is not None:
                raise refusal
            super().__init__(family, kind, proto, fileno)

    monkeypatch.setattr("gtunnel.net.dial.socket.socket", Scarce)
    closing(dial(PLAIN, [to(echo)], None, wakeup, ListLog()))
    assert next(refusals, None) is None


def test_a_killed_dial_leaves_no_descriptor() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        before = len(list(Path("/proc/self/fd").iterdir()))
        own = Wakeup()
        greenlet = gevent.spawn(dial, PLAIN, [at(full.getsockname()[1])], None, own, ListLog())
        gevent.sleep(0.05)
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
        greenlet.kill()
        own.close()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        for filler in fillers:
            filler.close()


def test_outgoing_connections_are_noted_for_the_loop_guard(echo: Server, wakeup: Wakeup) -> None:
    guard = LoopGuard()
    dialled = dial(replace(PLAIN, loops=guard), [to(echo)], None, wakeup, ListLog())
    assert dialled.noted == local_of(dialled)
    assert guard.made(local_of(dialled), SocketAddress(echo.host, echo.port))
    closing(dialled)


def test_a_connection_that_did_not_come_about_is_not_noted(wakeup: Wakeup, free_port: PortFactory) -> None:
    noted: list[SocketAddress] = []

    class Listening(LoopGuard):
        def note(self, local: SocketAddress, remote: SocketAddress) -> None:
            noted.append(local)
            super().note(local, remote)

    guard, dead = Listening(), at(free_port())
    with pytest.raises(NoTargetError):
        dial(replace(PLAIN, loops=guard), [dead], None, wakeup, ListLog())
    assert isinstance(dead.address, SocketAddress)
    assert len(noted) == 1
    assert not guard.made(noted[0], dead.address)


@pytest.mark.root
def test_the_clients_address_and_port_are_kept(echo: Server, wakeup: Wakeup, free_port: PortFactory) -> None:
    client = ClientAddress(SocketAddress("127.0.0.1", free_port()))
    dialled = dial(replace(PLAIN, strategy=KeepSource()), [to(echo)], client, wakeup, ListLog())
    assert dialled.local == client
    closing(dialled)


@pytest.mark.root
def test_a_port_that_is_taken_becomes_another_one(echo: Server, wakeup: Wakeup) -> None:
    # The client is on this machine, connected from the very port to the very target.
    with socket.create_connection((echo.host, echo.port)) as taken:
        host, port = taken.getsockname()
        client = ClientAddress(SocketAddress(host, port))
        dialled = dial(replace(PLAIN, strategy=KeepSource()), [to(echo)], client, wakeup, ListLog())
    assert local_of(dialled).host == host
    assert local_of(dialled).port != port
    closing(dialled)


@pytest.mark.root
def test_a_client_of_another_family_fails_that_target_only(echo: Server, wakeup: Wakeup) -> None:
    log = ListLog()
    client = ClientAddress(SocketAddress("2001:db8::1", 1000))
    with pytest.raises(NoTargetError):
        dial(replace(PLAIN, strategy=KeepSource()), [to(echo)], client, wakeup, log)
    assert "different address families" in log.texts[-1]


@pytest.mark.root
def test_every_outgoing_socket_carries_the_mark(echo: Server, wakeup: Wakeup) -> None:
    dialled = dial(replace(PLAIN, mark=2), [to(echo)], None, wakeup, ListLog())
    assert dialled.leg.sock.getsockopt(socket.SOL_SOCKET, 36) == 2
    closing(dialled)
