"""What nobody should do to a tunnel: nothing hangs, leaks or mixes.

Everything random comes from a seed, and every wait has a deadline. What is compared with limits is counted
(descriptors, processes, connections, bytes of memory), never timed.
"""

import contextlib
import hashlib
import os
import random
import resource
import selectors
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest

from tests.integration.test_exchange import client_service, server_service
from tests.support import needs, servers, tls
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

ServerFactory = Callable[..., Server]

SEED = 20240229
PATIENCE = 20.0
MEBIBYTE = 1 << 20
QUIET = "foreground = yes\npid =\nsyslog = no\ndebug = info\n"
SILENT = "foreground = yes\npid =\nsyslog = no\ndebug = err\n"
RESET = struct.pack("ii", 1, 0)


def soon(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Wait for something that others bring about."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory(pid: int) -> int:
    """Bytes of a process's own that are in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")


def gone(pid: int) -> bool:
    """Whether a process has ended (whoever is to reap it)."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def refused(port: int) -> bool:
    """Whether nobody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


class Chain:
    """Plain port -> client service -> server service -> backend, all in one gtunnel."""

    def __init__(self, gtunnel: Tunnels, pki: Pki, *, workers: int, preamble: str = QUIET, more: str = "") -> None:
        self._tunnels, self._pki, self._workers, self._more = gtunnel, pki, workers, more
        self._preamble = preamble
        self.tls_port, self.port = free_port(), free_port()
        self._reloads = 0

    def text(self, backend: object) -> str:
        """The configuration."""
        accept = f"127.0.0.1:{self.tls_port}"
        return (
            f"workers = {self._workers}\n{self._more}\n"
            + server_service(self._pki, accept, backend)
            + client_service(f"127.0.0.1:{self.port}", accept)
        )

    def start(self, backend: object, launch: Callable[..., Any] = subprocess.Popen) -> Daemon:
        """Run it."""
        self.daemon = self._tunnels.start(self.text(backend), preamble=self._preamble, launch=launch)
        # Not by connecting: a backend that counts would see it. The sockets listen before there are workers.
        assert soon(lambda: len(children(self.daemon.pid)) == self._workers)
        if self._preamble == QUIET:
            self.daemon.wait_for("Accepting new connections")
        return self.daemon

    def reload(self, backend: object) -> None:
        """Reload with another backend, and wait until the new workers serve."""
        path = Path(self.daemon.argv[-1])
        path.write_text(self._preamble + self.text(backend))
        old = set(children(self.daemon.pid))
        self._reloads += 1
        self.daemon.send(signal.SIGHUP)
        # Drained workers have closed their listeners; until then a new connection may still go to one of them.
        self.daemon.wait_for("Accepting new connections", times=self._reloads + 1)
        assert soon(lambda: len(set(children(self.daemon.pid)) - old) == self._workers)
        assert soon(lambda: all(self._stopped_accepting(pid) for pid in old))

    def _stopped_accepting(self, pid: int) -> bool:
        if gone(pid):
            return True
        inode = _listening_inode(self.port)
        with contextlib.suppress(OSError):
            return all(_target(link) != f"socket:[{inode}]" for link in Path(f"/proc/{pid}/fd").iterdir())
        return True


def _listening_inode(port: int) -> str:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[3] == "0A":
            return fields[9]
    raise AssertionError(f"nobody listens on {port}")


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""


def settled(daemon: Daemon) -> bool:
    """Whether every connection that started has finished. Needs the log at debug level."""
    text = daemon.output
    return text.count("] started\n") == text.count("] finished (") > 0


class Load:
    """Threads that exchange data of their own through a port, again and again, and note what became of each."""

    def __init__(self, port: int, *, threads: int, seed: int = SEED) -> None:
        self._port = port
        self._stop = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._run, args=(seed + n,)) for n in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads), "a connection hangs"

    def _run(self, seed: int) -> None:
        chance = random.Random(seed)
        while not self._stop.is_set():
            self.outcomes[self._exchange(chance.randbytes(chance.randrange(1, 200_000)))] += 1

    def _exchange(self, data: bytes) -> str:
        got = bytearray()
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE) as connection:
                pusher = threading.Thread(target=_push, args=(connection, data))
                pusher.start()
                try:
                    while part := connection.recv(1 << 16):
                        got += part
                finally:
                    pusher.join()
        except TimeoutError:
            return "hangs"
        except OSError:
            return "mixed" if not data.startswith(bytes(got)) else "reset"
        if bytes(got) == data:
            return "whole"
        return "cut" if data.startswith(bytes(got)) else "mixed"


def _push(connection: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


# Processes


def test_killed_workers_are_replaced_and_nothing_mixes(gtunnel: Tunnels, pki: Pki, echo: Server) -> None:
    chance = random.Random(SEED)
    chain = Chain(gtunnel, pki, workers=2)
    running = chain.start(echo.endpoint)
    before = descriptors(running.pid)
    with Load(chain.port, threads=4) as load:
        for number in range(1, 6):
            time.sleep(chance.uniform(0.2, 1.2))
            assert soon(lambda: bool(children(running.pid)))
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(children(running.pid)), signal.SIGKILL)
            running.wait_for("died (signal 9)", times=number)
        assert soon(lambda: len(children(running.pid)) == 2)
        served = load.outcomes["whole"]
        assert soon(lambda: load.outcomes["whole"] > served + 10)
    assert not {"mixed", "hangs"} & set(load.outcomes), load.outcomes
    assert soon(lambda: descriptors(running.pid) == before)
    assert len(children(running.pid)) == 2


def test_workers_end_with_a_supervisor_that_is_killed(gtunnel: Tunnels, pki: Pki, echo: Server) -> None:
    chain = Chain(gtunnel, pki, workers=3)
    running = chain.start(echo.endpoint)
    chain.reload(echo.endpoint)
    workers = children(running.pid)
    with Load(chain.port, threads=3) as load, socket.create_connection(("127.0.0.1", chain.port)) as idle:
        idle.settimeout(PATIENCE)
        idle.sendall(b"x")
        assert idle.recv(1) == b"x"
        running.send(signal.SIGKILL)
        assert soon(lambda: all(gone(pid) for pid in workers))
        with contextlib.suppress(ConnectionResetError):
            assert idle.recv(1) == b""
        assert refused(chain.port)
        assert refused(chain.tls_port)
    assert not {"mixed", "hangs"} & set(load.outcomes), load.outcomes
    # Nothing is left that would be in the next one's way.
    chain.start(echo.endpoint)
    with socket.create_connection(("127.0.0.1", chain.port), timeout=PATIENCE) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"


def tagged(tag: bytes) -> servers.Handler:
    """A backend that says who it is before it echoes."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(tag)
        servers.echo(connection)

    return handle


def test_reloads_under_load_lose_no_connection(gtunnel: Tunnels, pki: Pki, echo: Server) -> None:
    chain = Chain(gtunnel, pki, workers=2)
    running = chain.start(echo.endpoint)
    chain.reload(echo.endpoint)
    # The old workers' channels are open until they have ended and were reaped, which may be a moment later.
    assert soon(lambda: len(children(running.pid)) == 2)
    before = descriptors(running.pid)
    with Load(chain.port, threads=4) as load:
        for _ in range(6):
            chain.reload(echo.endpoint)
        served = load.outcomes["whole"]
        assert soon(lambda: load.outcomes["whole"] > served + 10)
    assert set(load.outcomes) == {"whole"}
    assert soon(lambda: len(children(running.pid)) == 2)
    assert soon(lambda: descriptors(running.pid) <= before)


def test_live_connections_keep_their_service_over_reloads(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory
) -> None:
    backends = [server(tagged(b"%d" % number)) for number in range(4)]
    chain = Chain(gtunnel, pki, workers=2)
    running = chain.start(backends[0].endpoint)
    live: list[socket.socket] = []
    for number, backend in enumerate(backends):
        if number:
            chain.reload(backend.endpoint)
        live.append(socket.create_connection(("127.0.0.1", chain.port), timeout=PATIENCE))
        assert live[-1].recv(1) == b"%d" % number
    running.send(signal.SIGUSR2)
    running.wait_for(f"Listed {2 * len(backends)} active connection(s)")
    for number, connection in enumerate(live):
        connection.sendall(b"still %d" % number)
        assert connection.recv(100) == b"still %d" % number
        connection.close()
    assert soon(lambda: len(children(running.pid)) == 2)
    assert [len(backend.peers) for backend in backends] == [1] * len(backends)


def test_a_port_that_a_reload_drops_is_free_again(gtunnel: Tunnels, pki: Pki, echo: Server) -> None:
    chain = Chain(gtunnel, pki, workers=2)
    running = chain.start(echo.endpoint)
    dropped, chain.port = chain.port, free_port()
    chain.reload(echo.endpoint)
    assert soon(lambda: refused(dropped))
    with socket.create_server(("127.0.0.1", dropped)):
        pass
    chain.port = dropped
    chain.reload(echo.endpoint)
    assert not refused(dropped)
    assert "Failed to reload" not in running.output


def test_a_wrong_configuration_leaves_the_old_one_at_work(gtunnel: Tunnels, pki: Pki, echo: Server) -> None:
    chain = Chain(gtunnel, pki, workers=2)
    running = chain.start(echo.endpoint)
    before, workers = descriptors(running.pid), set(children(running.pid))
    path = Path(running.argv[-1])
    good = path.read_text()
    with Load(chain.port, threads=2) as load, socket.create_server(("127.0.0.1", 0)) as taken:
        for number, wrong in enumerate(
            (
                "nosuch = 1\n",
                "ciphers = NOSUCH\n",
                "cert = /nonexistent\n",
                f"[taken]\naccept = 127.0.0.1:{taken.getsockname()[1]}\nconnect = 1\ncert = {pki.server.pem}\n",
                "output = /nonexistent/log\n",
            ),
            1,
        ):
            path.write_text(good + wrong if wrong.startswith("[") or "=" not in wrong else wrong + good)
            running.send(signal.SIGHUP)
            running.wait_for("Failed to reload the configuration file", times=number)
    assert set(load.outcomes) == {"whole"}
    assert set(children(running.pid)) == workers
    assert soon(lambda: descriptors(running.pid) == before)


# Garbage


def client_hello(version: str = "") -> bytes:
    """The first record of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client_context(version=version).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def record(kind: int, body: bytes, *, length: int | None = None) -> bytes:
    """A TLS record, with a wrong length if one is given."""
    return struct.pack("!BHH", kind, 0x0303, len(body) if length is None else length) + body


def garbage() -> Iterator[bytes]:
    """Everything that is no handshake."""
    chance = random.Random(SEED)
    hello = client_hello()
    for size in (0, 1, 4, 5, 6, 100, 5000, 70000):
        yield chance.randbytes(size)
    for _ in range(12):
        yield hello[: chance.randrange(1, len(hello))]
    for _ in range(12):
        mangled = bytearray(hello)
        for _ in range(chance.randrange(1, 8)):
            mangled[chance.randrange(len(mangled))] = chance.randrange(256)
        yield bytes(mangled)
    yield record(22, b"", length=0xFFFF) + bytes(0xFFFF)
    yield record(22, hello[5:], length=0x4801)
    yield 100 * record(22, b"")
    yield 100 * record(20, b"\x01")
    yield record(23, b"data before the handshake")
    yield record(21, b"\x02\x28")
    yield 100 * record(21, b"\x01\x5a")
    yield hello + hello
    yield hello + record(20, b"\x01") + record(23, bytes(1000))
    yield hello + record(22, b"\x14\x00\x00\x20" + bytes(32))
    yield client_hello("1.2") + record(22, b"\x10\x00\x00\x21" + bytes(33)) + record(20, b"\x01") + bytes(100)
    # A handshake message of 16 MiB that never comes.
    yield record(22, b"\x01\xff\xff\xff" + bytes(16000)) + 40 * record(22, bytes(16000))
    yield b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    yield b"\x80\x2e\x01\x00\x02" + bytes(44)
    yield b"SSH-2.0-OpenSSH\r\n"


def say_garbage(connection: socket.socket, data: bytes, chance: random.Random) -> None:
    """Send it in pieces, then end in one of several ways."""
    connection.settimeout(PATIENCE)
    with contextlib.suppress(OSError):
        cut = chance.randrange(len(data) + 1)
        connection.sendall(data[:cut])
        connection.sendall(data[cut:])
        if chance.random() < 0.3:
            reset(connection)
            return
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


def test_garbage_ends_its_own_connection_and_no_other(gtunnel: Tunnels, pki: Pki, server: ServerFactory) -> None:
    chance = random.Random(SEED)
    pieces = list(garbage())
    turn = count()

    def talk_nonsense(connection: socket.socket) -> None:
        say_garbage(connection, pieces[next(turn) % len(pieces)], random.Random(SEED))

    nonsense, backend = server(talk_nonsense), server(servers.echo)
    tls_port, port = free_port(), free_port()
    running = gtunnel(
        "workers = 1\nTIMEOUTbusy = 5\n"
        + server_service(pki, f"127.0.0.1:{tls_port}", backend.endpoint)
        + client_service(f"127.0.0.1:{port}", nonsense.endpoint)
    )
    (worker,) = children(running.pid)
    with tls.connect(tls_port) as bystander:
        before = descriptors(worker)
        for data in pieces:
            with socket.create_connection(("127.0.0.1", tls_port), timeout=PATIENCE) as connection:
                say_garbage(connection, data, chance)
            # Refused before we look, perhaps.
            with (
                contextlib.suppress(ConnectionResetError),
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
            ):
                assert connection.recv(1) == b""
        # The connection that bystander holds has yet to finish.
        assert soon(lambda: running.output.count("] started\n") == running.output.count("] finished (") + 1)
        bystander.send(b"still here")
        assert bystander.receive_exactly(10) == b"still here"
        assert soon(lambda: descriptors(worker) <= before + 2)
    assert children(running.pid) == [worker]
    assert "INTERNAL ERROR" not in running.output


def test_plaintext_after_the_handshake_is_an_error_and_reaches_nobody(
    gtunnel: Tunnels, tls_version: str, pki: Pki, server: ServerFactory
) -> None:
    seen: list[bytes] = []

    def note(connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                seen.append(data)

    backend = server(note)
    port = free_port()
    running = gtunnel(server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    for wrong in (b"plain text, not a record", record(23, bytes(100)), record(22, bytes(100)), record(99, b"?")):
        with tls.connect(port, tls.client_context(version=tls_version)) as peer:
            peer.send(b"good")
            peer.socket.sendall(wrong)
            with contextlib.suppress(OSError):
                while peer.socket.recv(1 << 16):
                    pass
    assert soon(lambda: settled(running))
    assert soon(lambda: b"".join(seen) == b"good" * 4)
    assert running.count("Connection reset: 0 byte(s) sent to TLS, 4 byte(s) sent to socket") == 4


def test_each_side_may_end_at_every_stage(gtunnel: Tunnels, pki: Pki, server: ServerFactory) -> None:
    chance = random.Random(SEED)
    lives = random.Random(SEED + 1)

    def moody(connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        with contextlib.suppress(OSError):
            for _ in range(lives.randrange(4)):
                connection.sendall(connection.recv(1 << 16) or b"the end")
            if lives.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)
            if lives.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    backend = server(moody)
    tls_port, port = free_port(), free_port()
    running = gtunnel(
        "workers = 1\nTIMEOUTclose = 2\n"
        + server_service(pki, f"127.0.0.1:{tls_port}", backend.endpoint)
        + client_service(f"127.0.0.1:{port}", f"127.0.0.1:{tls_port}")
    )
    (worker,) = children(running.pid)
    before = descriptors(worker)

    def one(seed: int) -> None:
        mood = random.Random(seed)
        with contextlib.suppress(OSError, tls.TruncatedError):
            if mood.random() < 0.5:
                _leave_plain(port, mood)
            else:
                _leave_tls(tls_port, mood)

    threads = [threading.Thread(target=one, args=(chance.randrange(1 << 30),)) for _ in range(120)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert soon(lambda: settled(running))
    assert soon(lambda: descriptors(worker) == before)
    assert "INTERNAL ERROR" not in running.output


def _leave_plain(port: int, mood: random.Random) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        for _ in range(mood.randrange(4)):
            connection.sendall(mood.randbytes(mood.randrange(1, 100_000)))
            if mood.random() < 0.5:
                connection.recv(1 << 16)
        if mood.random() < 0.5:
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)
        if mood.random() < 0.5:
            reset(connection)


def _leave_tls(port: int, mood: random.Random) -> None:
    if mood.random() < 0.3:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(client_hello())
            if mood.random() < 0.5:
                connection.recv(mood.randrange(1, 2000))
            if mood.random() < 0.5:
                reset(connection)
        return
    with tls.connect(port) as peer:
        for _ in range(mood.randrange(4)):
            peer.send(mood.randbytes(mood.randrange(1, 100_000)))
            if mood.random() < 0.5:
                peer.receive()
        if mood.random() < 0.5:
            peer.close_notify()
            peer.receive()
        how = mood.choice((peer.cut, peer.reset, peer.socket.close))
        how()


# Descriptors and memory


def limited(limit: int) -> Callable[..., Any]:
    """Launch with so many descriptors, and without the capability to have more."""
    command = [needs.program("setpriv"), "--bounding-set=-sys_resource", "prlimit", f"--nofile={limit}:{limit}"]
    return lambda argv, **options: subprocess.Popen([*command, *argv], **options)


@pytest.mark.root
def test_at_the_descriptor_limit_accepting_is_delayed_and_nothing_fails(
    gtunnel: Tunnels, pki: Pki, echo: Server
) -> None:
    port = free_port()
    running = gtunnel(
        "workers = 1\n" + server_service(pki, f"127.0.0.1:{port}", echo.endpoint), launch=limited(100)
    )
    (worker,) = children(running.pid)
    connections = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(60)]
    running.wait_for("accepting is delayed")
    # Nobody has said anything yet, so nobody was greeted. A listener, and four descriptors for the service.
    assert soon(lambda: running.count("] started") == (100 - 64 - 1 - 4) // 2)
    context = tls.client_context()
    for number, connection in enumerate(connections):
        with tls.TlsPeer(connection, context) as peer:
            peer.send(b"%d" % number)
            assert peer.receive() == b"%d" % number
            peer.close_notify()
            assert peer.receive_all() == b""
    assert soon(lambda: settled(running))
    assert running.count("Connection closed: ") == 60
    assert children(running.pid) == [worker]


@pytest.mark.root
def test_a_full_descriptor_table_is_survived(gtunnel: Tunnels, pki: Pki, echo: Server) -> None:
    port = free_port()
    running = gtunnel("workers = 1\n" + server_service(pki, f"127.0.0.1:{port}", echo.endpoint, "TIMEOUTconnect = 1"))
    (worker,) = children(running.pid)
    before = descriptors(worker)
    # Lowered behind its back: no counting has foretold it.
    old = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (before + 7, old[1]))
    connections = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(20)]
    running.wait_for("Too many open files (24): accepting is delayed")
    running.send(signal.SIGUSR2)
    running.wait_for("active connection(s)")
    for connection in connections[::2]:
        connection.close()
    time.sleep(1)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, old)
    for connection in connections[1::2]:
        connection.close()
    assert soon(lambda: settled(running))
    with tls.connect(port) as peer:
        peer.send(b"x")
        assert peer.receive() == b"x"
        running.send(signal.SIGUSR2)
        running.wait_for("Listed 1 active connection(s)")
    assert soon(lambda: descriptors(worker) == before)
    assert children(running.pid) == [worker]


@pytest.mark.parametrize("direction", ["to TLS", "to the socket"])
def test_a_slow_reader_costs_no_memory(gtunnel: Tunnels, pki: Pki, server: ServerFactory, direction: str) -> None:
    data = random.Random(SEED).randbytes(MEBIBYTE) * 64
    expected = hashlib.sha256(data).digest()
    go, digests = threading.Event(), []

    def read_late(connection: socket.socket) -> None:
        go.wait(PATIENCE)
        digest = hashlib.sha256()
        while part := connection.recv(1 << 16):
            digest.update(part)
        digests.append(digest.digest())

    backend = server(servers.source(data) if direction == "to TLS" else read_late)
    port = free_port()
    running = gtunnel("workers = 1\n" + server_service(pki, f"127.0.0.1:{port}", backend.endpoint))
    (worker,) = children(running.pid)
    with tls.connect(port) as peer:
        running.wait_for("connected remote server")
        before = memory(worker)
        if direction == "to TLS":
            assert soon(lambda: _stuck(worker))
            peak = memory(worker)
            digest = hashlib.sha256()
            while part := peer.receive():
                digest.update(part)
            digests.append(digest.digest())
            peer.close_notify()
        else:
            pusher = threading.Thread(target=partial(_push_tls, peer, data))
            pusher.start()
            assert soon(lambda: _stuck(worker))
            peak = memory(worker)
            go.set()
            pusher.join(PATIENCE)
        assert soon(lambda: bool(digests))
    assert digests == [expected]
    assert peak - before < 4 * MEBIBYTE
    assert memory(worker) - before < 4 * MEBIBYTE


def _push_tls(peer: tls.TlsPeer, data: bytes) -> None:
    peer.send(data)
    peer.close_notify()


def _stuck(pid: int) -> bool:
    """Whether a process has used no processor time for a moment."""

    def used() -> list[str]:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]

    before = used()
    time.sleep(0.4)
    return used() == before


class Parking:
    """A backend for thousands: accepts, reads nothing, and closes when the other side does. One thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._closing, self._wake = socket.socketpair()
        self._selector.register(self._closing, selectors.EVENT_READ)
        self.parked: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wake.close()
        self._thread.join(PATIENCE)
        for connection in (*self.parked, self._listener, self._closing):
            connection.close()
        self._selector.close()

    @property
    def endpoint(self) -> str:
        """As `connect =` wants it."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._closing:
                    return
                self._take() if key.fileobj is self._listener else self._look(key.fileobj)

    def _take(self) -> None:
        connection, _ = self._listener.accept()
        self.parked.add(connection)
        self._selector.register(connection, selectors.EVENT_READ)

    def _look(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            if connection.recv(1 << 16):
                return
        self._selector.unregister(connection)
        self.parked.discard(connection)
        connection.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """The test's own process needs thousands."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, old[1]), old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


def park(chain: Chain, parking: Parking, number: int) -> list[socket.socket]:
    """Open that many connections through a chain, and wait until they have all arrived."""
    connections = [socket.create_connection(("127.0.0.1", chain.port), timeout=PATIENCE) for _ in range(number)]
    assert soon(lambda: len(parking.parked) == number, 60)
    return connections


@pytest.mark.usefixtures("many_descriptors")
def test_thousands_of_idle_connections_come_and_go(gtunnel: Tunnels, pki: Pki) -> None:
    chain = Chain(gtunnel, pki, workers=1, preamble=SILENT)
    with Parking() as parking:
        running = chain.start(parking.endpoint)
        (worker,) = children(running.pid)
        for connection in park(chain, parking, 1):
            connection.close()
        assert soon(lambda: not parking.parked)
        before = descriptors(worker)
        connections = park(chain, parking, 1500)
        # Each of them is two: one of the client service, one of the server service.
        running.send(signal.SIGUSR2)
        assert soon(lambda: "Listed 3000 active connection(s)" in running.output)
        for connection in connections:
            connection.close()
        assert soon(lambda: not parking.parked)
        assert soon(lambda: descriptors(worker) == before)
        running.send(signal.SIGUSR2)
        running.wait_for("Listed 0 active connection(s)")
        assert children(running.pid) == [worker]


@pytest.mark.usefixtures("many_descriptors")
def test_rounds_of_connections_leave_nothing_behind(gtunnel: Tunnels, pki: Pki) -> None:
    chain = Chain(gtunnel, pki, workers=1, preamble=SILENT)
    with Parking() as parking:
        running = chain.start(parking.endpoint)
        (worker,) = children(running.pid)
        seen: list[tuple[int, int]] = []
        for _ in range(6):
            for connection in park(chain, parking, 250):
                connection.close()
            assert soon(lambda: not parking.parked)
            assert soon(lambda: _stuck(worker))
            seen.append((descriptors(worker), memory(worker)))
    # The first rounds grow the allocator's pools and the loop's tables to their size.
    files, sizes = zip(*seen[1:], strict=True)
    assert len(set(files)) == 1
    assert max(sizes) - sizes[0] < 2 * MEBIBYTE, sizes


# Transfers


def answer_with_digest(connection: socket.socket) -> None:
    """Read to the end in pieces of any size; then tell what came, and what follows, and send that."""
    connection.settimeout(PATIENCE)
    chance = random.Random(SEED)
    digest, size = hashlib.sha256(), 0
    while part := connection.recv(chance.randrange(1, 1 << 17)):
        digest.update(part)
        size += len(part)
    reply = random.Random(size).randbytes(size)
    connection.sendall(digest.digest())
    connection.sendall(reply)
    connection.shutdown(socket.SHUT_WR)


def transfer(port: int, seed: int, size: int) -> str:
    """Send in random pieces, end our side, and check the digest and the whole answer."""
    chance = random.Random(seed)
    data = chance.randbytes(size)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        sent = 0
        while sent < size:
            piece = chance.choice((chance.randrange(1, 100), chance.randrange(1, 20_000), chance.randrange(1, 500_000)))
            connection.sendall(memoryview(data)[sent : sent + piece])
            sent += piece
        connection.shutdown(socket.SHUT_WR)
        got = bytearray()
        while part := connection.recv(chance.randrange(1, 1 << 17)):
            got += part
    if bytes(got[:32]) != hashlib.sha256(data).digest():
        return f"{seed}: wrong digest"
    return "" if bytes(got[32:]) == random.Random(size).randbytes(size) else f"{seed}: wrong answer, {len(got)} bytes"


def test_transfers_arrive_whole_while_the_configuration_is_reloaded(
    gtunnel: Tunnels, pki: Pki, server: ServerFactory
) -> None:
    backend = server(answer_with_digest)
    chain = Chain(gtunnel, pki, workers=2)
    running = chain.start(backend.endpoint)
    problems: list[str] = []

    def one(seed: int) -> None:
        for number in range(2):
            size = 8 * MEBIBYTE if number == 0 else random.Random(seed).randrange(1, MEBIBYTE)
            try:
                problems.append(transfer(chain.port, seed + number, size))
            except OSError as error:
                problems.append(f"{seed}: {error}")

    threads = [threading.Thread(target=one, args=(SEED + 10 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        chain.reload(backend.endpoint)
    for thread in threads:
        thread.join(PATIENCE)
    assert problems == [""] * 8
    assert backend.errors == []
    assert soon(lambda: len(children(running.pid)) == 2)
    assert "Connection reset" not in running.output
