"""The work that proxies are measured at. Each returns its figures in order; processor time is the proxy's alone.

A load runs in this process unless it says otherwise, so it takes another core than a proxy that is pinned to the first.
"""

import re
import signal
import socket
import ssl
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from tests.bench.usage import cpu_seconds, memory_mib

Figures = tuple[float, ...]

_GB = 1e9
_MICRO = 1e6
_CHUNK = 1 << 18
# Connections before those that count: what a program loads at the first one is another figure.
_WARM = 10
_SETTLE_SECONDS = 1.0
_IP_BIND_ADDRESS_NO_PORT = 24  # ip(7); Python 3.11 has no name for it
_RETRY_SECONDS = 0.001
# How long wrk may take until all its connections stand, and how long it would go on if nobody ended it.
_STAND_SECONDS = 30
_WRK_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A proxy under load: its process, its port, whether it is spoken TLS to, and the web server's plain port.

    `began`: when it was started (`time.perf_counter`).
    """

    pid: int
    port: int
    tls: bool
    status: int
    began: float = 0.0


def context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client that believes everybody: who is measured is not who is trusted."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    return made


@contextmanager
def connected(
    proxy: Running, tls: ssl.SSLContext | None, session: ssl.SSLSession | None = None, source: str = ""
) -> Iterator[socket.socket]:
    """A connection to the proxy; from that address, if one is named. It ends in order, with a close_notify each way."""
    with socket.socket() as plain:
        plain.settimeout(60)
        if source:
            # The port is chosen when it connects, so one that waits in TIME_WAIT can be had again.
            plain.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            plain.bind((source, 0))
        plain.connect(("127.0.0.1", proxy.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            yield plain
        else:
            with tls.wrap_socket(plain, session=session) as secured:
                yield secured
                # Some servers do not answer; whoever has closed the connection wanted it so.
                with suppress(OSError, ValueError):
                    secured.unwrap()


def _context_for(proxy: Running) -> ssl.SSLContext | None:
    return context() if proxy.tls else None


def download(proxy: Running, size: int) -> Figures:
    """Processor seconds per GB, of `size` bytes from the server (a `source`) to the client, over one connection."""
    before, scratch, remaining = cpu_seconds(proxy.pid), bytearray(_CHUNK), size
    with connected(proxy, _context_for(proxy)) as connection:
        connection.sendall(b"%d\n" % size)
        while remaining:
            got = connection.recv_into(scratch, min(_CHUNK, remaining))
            assert got, "the connection ended early"
            remaining -= got
    return ((cpu_seconds(proxy.pid) - before) / (size / _GB),)


def upload(proxy: Running, size: int) -> Figures:
    """Processor seconds per GB, of `size` bytes from the client to the server (a `sink`), over one connection."""
    before, chunk, remaining = cpu_seconds(proxy.pid), bytes(_CHUNK), size
    with connected(proxy, _context_for(proxy)) as connection:
        connection.sendall(b"%d\n" % size)
        while remaining > 0:
            connection.sendall(chunk[:remaining])
            remaining -= _CHUNK
        assert connection.recv(16) == b"done\n"
    return ((cpu_seconds(proxy.pid) - before) / (size / _GB),)


def connections(proxy: Running, count: int) -> Figures:
    """Processor microseconds of a new connection, one after the other, each for a byte there and back (an `echo`)."""
    tls = _context_for(proxy)
    for number in range(_WARM + count):
        if number == _WARM:
            before = cpu_seconds(proxy.pid)
        with connected(proxy, tls) as connection:
            exchange(connection)
    return ((cpu_seconds(proxy.pid) - before) / count * _MICRO,)


def resumed(proxy: Running, count: int, version: ssl.TLSVersion) -> Figures:
    """The same with the session of the one before; all must be resumed."""
    tls, session, reused = context(version), None, 0
    for number in range(_WARM + count):
        if number == _WARM:
            before = cpu_seconds(proxy.pid)
        with connected(proxy, tls, session) as connection:
            exchange(connection)
            assert isinstance(connection, ssl.SSLSocket)
            reused += bool(connection.session_reused)
            session = connection.session
    assert reused == _WARM + count - 1, f"only {reused} connections were resumed"
    return ((cpu_seconds(proxy.pid) - before) / count * _MICRO,)


def exchange(connection: socket.socket) -> None:
    """One byte there and back."""
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"


def echoes(proxy: Running, count: int) -> Figures:
    """p50 and p99, in microseconds, of one byte there and back, again and again on one connection."""
    took: list[float] = []
    with connected(proxy, _context_for(proxy)) as connection:
        for _ in range(count):
            began = time.perf_counter()
            exchange(connection)
            took.append((time.perf_counter() - began) * _MICRO)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def requests(proxy: Running, together: int, seconds: float) -> Figures:
    """Processor microseconds of an HTTP request, and requests per second, by wrk against a web server that counts.

    Measured once all connections stand: their handshakes are another figure.
    """
    with _wrk(proxy, together):
        _await_connections(proxy, together)
        before, (_, answered), began = cpu_seconds(proxy.pid), web_counts(proxy), time.monotonic()
        time.sleep(seconds)
        spent, count = cpu_seconds(proxy.pid) - before, web_counts(proxy)[1] - answered
        took = time.monotonic() - began
    assert count, "no answer to any request"
    return spent / count * _MICRO, count / took


def connection_rate(proxy: Running, together: int, seconds: float) -> Figures:
    """Processor microseconds of a connection with a full handshake and one HTTP request, and connections per second.

    By wrk, which makes a new one as soon as one has ended. It takes about as much processor time as the proxy, and of
    the same cores: the rate is that of both together.
    """
    with _wrk(proxy, together, "Connection: close", threads=2):
        time.sleep(_SETTLE_SECONDS)
        before, (_, answered), began = cpu_seconds(proxy.pid), web_counts(proxy), time.monotonic()
        time.sleep(seconds)
        # One of those that the web server has answered is our question.
        spent, count = cpu_seconds(proxy.pid) - before, web_counts(proxy)[1] - answered - 1
        took = time.monotonic() - began
    assert count > 0, "no answer to any request"
    return spent / count * _MICRO, count / took


def starting(proxy: Running) -> Figures:
    """Milliseconds from the start of the program to the first byte that came back through it (from an `echo`)."""
    tls = _context_for(proxy)
    while True:
        try:
            with connected(proxy, tls) as connection:
                exchange(connection)
                return ((time.perf_counter() - proxy.began) * 1000,)
        except ConnectionError:
            assert time.perf_counter() - proxy.began < _STAND_SECONDS, f"nobody accepts after {_STAND_SECONDS} s"
            time.sleep(_RETRY_SECONDS)


@contextmanager
def _wrk(proxy: Running, together: int, *headers: str, threads: int = 1) -> Iterator[None]:
    """wrk at work as long as the context lasts. Connections that failed are errors."""
    url = f"{'https' if proxy.tls else 'http'}://127.0.0.1:{proxy.port}/"
    options = [word for header in headers for word in ("-H", header)]
    argv = [
        "wrk",
        f"-t{threads}",
        f"-c{together}",
        f"-d{_WRK_SECONDS}s",
        "--timeout",
        f"{_STAND_SECONDS}s",
        *options,
        url,
    ]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as wrk:
        try:
            yield
        finally:
            wrk.send_signal(signal.SIGINT)  # it tells what it has seen, and ends
            said, _ = wrk.communicate()
    assert "Socket errors" not in said, said


def _await_connections(proxy: Running, together: int) -> None:
    deadline = time.monotonic() + _STAND_SECONDS
    # One of those that the web server sees is our question.
    while web_counts(proxy)[0] <= together:
        assert time.monotonic() < deadline, f"after {_STAND_SECONDS} s, {web_counts(proxy)[0]} connections stand"
        time.sleep(0.05)


def web_counts(proxy: Running) -> tuple[int, int]:
    """How many connections the web server has, and how many requests it has had, by its own count (past the proxy)."""
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.status}/status", timeout=30) as page:
        numbers = [int(word) for word in re.findall(rb"\d+", page.read())]
    return numbers[0], numbers[3]


def idle(proxy: Running, count: int) -> Figures:
    """KiB per connection, of connections that have said something (to an `echo`) and now wait."""
    tls = _context_for(proxy)
    with ExitStack() as stack:
        for _ in range(_WARM):
            exchange(stack.enter_context(connected(proxy, tls)))
        before = memory_mib(proxy.pid)
        for _ in range(count):
            exchange(stack.enter_context(connected(proxy, tls)))
        return ((memory_mib(proxy.pid) - before) * 1024 / count,)


def resting(proxy: Running) -> Figures:
    """MiB (PSS) of a proxy that has had a few connections and does nothing, all its processes together."""
    tls = _context_for(proxy)
    for _ in range(_WARM):
        with connected(proxy, tls) as connection:
            exchange(connection)
    time.sleep(_SETTLE_SECONDS)  # other workers may still be starting
    return (memory_mib(proxy.pid),)
