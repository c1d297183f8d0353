"""The work that proxies are measured at. Each returns figures by name; processor time is the proxy's alone."""

import socket
import ssl
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench.usage import cpu_seconds, memory_mib

Figures = dict[str, float]

_GB = 1e9
_MICRO = 1e6
_CHUNK = 1 << 18
_WARM_SECONDS = 4
_EARLY_SECONDS = 0.3  # the last look comes before wrk ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A proxy under load: its process, its port, whether it is spoken TLS to, and the backend's plain port."""

    pid: int
    port: int
    tls: bool
    status: int


def context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client that believes everybody: who is measured is not who is trusted."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = made.maximum_version = version
    return made


@contextmanager
def connected(
    proxy: Running, tls: ssl.SSLContext | None, session: ssl.SSLSession | None = None
) -> Iterator[socket.socket]:
    """A connection to the proxy."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is None:
            yield plain
        else:
            with tls.wrap_socket(plain, session=session) as secured:
                yield secured


def _context_for(proxy: Running) -> ssl.SSLContext | None:
    return context() if proxy.tls else None


def download(proxy: Running, size: int) -> Figures:
    """`size` bytes from the server (a `source`) to the client, over one connection."""
    before, scratch, remaining = cpu_seconds(proxy.pid), bytearray(_CHUNK), size
    with connected(proxy, _context_for(proxy)) as connection:
        connection.sendall(b"%d\n" % size)
        while remaining:
            got = connection.recv_into(scratch, min(_CHUNK, remaining))
            assert got, "the connection ended early"
            remaining -= got
    return {"bulk to the client, CPU s/GB": (cpu_seconds(proxy.pid) - before) / (size / _GB)}


def upload(proxy: Running, size: int) -> Figures:
    """`size` bytes from the client to the server (a `sink`), over one connection."""
    before, chunk, remaining = cpu_seconds(proxy.pid), bytes(_CHUNK), size
    with connected(proxy, _context_for(proxy)) as connection:
        connection.sendall(b"%d\n" % size)
        while remaining > 0:
            connection.sendall(chunk[:remaining])
            remaining -= _CHUNK
        assert connection.recv(16) == b"done\n"
    return {"bulk to the server, CPU s/GB": (cpu_seconds(proxy.pid) - before) / (size / _GB)}


def connections(proxy: Running, count: int) -> Figures:
    """New connections one after the other, each for one byte there and back (an `echo`)."""
    tls = _context_for(proxy)
    before = cpu_seconds(proxy.pid)
    for _ in range(count):
        with connected(proxy, tls) as connection:
            _exchange(connection)
    return {"connection, CPU us": (cpu_seconds(proxy.pid) - before) / count * _MICRO}


def resumed(proxy: Running, count: int, version: ssl.TLSVersion) -> Figures:
    """The same with the session of the one before; all must be resumed."""
    tls = context(version)
    with connected(proxy, tls) as connection:
        _exchange(connection)
        session = _session(connection)
    before, reused = cpu_seconds(proxy.pid), 0
    for _ in range(count):
        with connected(proxy, tls, session) as connection:
            _exchange(connection)
            assert isinstance(connection, ssl.SSLSocket)
            reused += bool(connection.session_reused)
            session = _session(connection)
    assert reused == count, f"only {reused} of {count} connections were resumed"
    name = version.name.replace("TLSv1_", "TLS 1.")
    return {f"resumed {name}, CPU us": (cpu_seconds(proxy.pid) - before) / count * _MICRO}


def _session(connection: socket.socket) -> ssl.SSLSession:
    assert isinstance(connection, ssl.SSLSocket)
    session = connection.session
    assert session is not None
    return session


def _exchange(connection: socket.socket) -> None:
    connection.sendall(b"x")
    assert connection.recv(1) == b"x"


def echoes(proxy: Running, count: int) -> Figures:
    """One byte there and back, again and again on one connection."""
    took: list[float] = []
    with connected(proxy, _context_for(proxy)) as connection:
        for _ in range(count):
            began = time.perf_counter()
            _exchange(connection)
            took.append((time.perf_counter() - began) * _MICRO)
    return {"echo p50, us": statistics.median(took), "echo p99, us": statistics.quantiles(took, n=100)[98]}


def requests(proxy: Running, together: int, seconds: int) -> Figures:
    """HTTP requests over connections that stay, by wrk, against a web server that counts them.

    Measured once all connections stand: their handshakes are another figure.
    """
    url = f"{'https' if proxy.tls else 'http'}://127.0.0.1:{proxy.port}/"
    argv = ["wrk", "-t1", f"-c{together}", f"-d{seconds + _WARM_SECONDS}s", url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as wrk:
        time.sleep(_WARM_SECONDS)
        before, answered, began = cpu_seconds(proxy.pid), _answered(proxy), time.monotonic()
        time.sleep(seconds - _EARLY_SECONDS)
        spent, count = cpu_seconds(proxy.pid) - before, _answered(proxy) - answered
        took = time.monotonic() - began
        said, _ = wrk.communicate()
    assert "Socket errors" not in said, said
    assert count, f"no answer to any request: {said}"
    return {
        f"request, {together} connections, CPU us": spent / count * _MICRO,
        f"requests/s, {together} connections": count / took,
    }


def _answered(proxy: Running) -> int:
    """How many requests the web server has had, by its own count (past the proxy)."""
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.status}/status", timeout=30) as page:
        return int(page.read().split()[9])


def idle(proxy: Running, count: int) -> Figures:
    """Connections that have said something (to an `echo`) and now wait."""
    tls = _context_for(proxy)
    with ExitStack() as stack:
        _exchange(stack.enter_context(connected(proxy, tls)))
        before = memory_mib(proxy.pid)
        for _ in range(count):
            _exchange(stack.enter_context(connected(proxy, tls)))
        return {"idle connection, KiB": (memory_mib(proxy.pid) - before) * 1024 / count}


def resting(proxy: Running) -> Figures:
    """Memory of a proxy that has done nothing yet but accept one connection."""
    return {"PSS, MiB": memory_mib(proxy.pid)}
