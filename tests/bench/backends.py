"""What stands behind a proxy in the benchmarks, plain and with TLS: a web server, an echo, a source and a sink.

They run in processes of their own, so that their processor time is not the proxy's.
"""

import multiprocessing
import resource
import selectors
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port, wait_for_port

_CHUNK = 1 << 18
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Ports:
    """Where one kind of backend listens."""

    plain: int
    tls: int


@contextmanager
def web(pem: Path, directory: Path) -> Iterator[Ports]:
    """nginx that answers every request with a few bytes, and keeps connections. /status counts them."""
    ports = Ports(free_port(), free_port())
    path = directory / "web.conf"
    path.write_text(
        f"daemon off; pid {directory}/web.pid; error_log {directory}/web-error.log warn; worker_processes 2;\n"
        "events { worker_connections 20000; }\n"
        "http { access_log off; keepalive_requests 100000000; server {\n"
        f"listen 127.0.0.1:{ports.plain}; listen 127.0.0.1:{ports.tls} ssl;\n"
        f"ssl_certificate {pem}; ssl_certificate_key {pem};\n"
        "location / { return 200 'hello world'; } location = /status { stub_status; } } }\n"
    )
    argv = ["nginx", "-p", str(directory), "-c", str(path)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for_port(ports.plain)
            yield ports
        finally:
            process.terminate()
            process.wait()


def echo(connection: socket.socket) -> None:
    """Give back what comes."""
    while data := connection.recv(_CHUNK):
        connection.sendall(data)


def source(connection: socket.socket) -> None:
    """Send as many bytes as the first line says."""
    remaining = int(_line(connection))
    chunk = bytes(_CHUNK)
    while remaining > 0:
        connection.sendall(chunk[:remaining])
        remaining -= _CHUNK


def sink(connection: socket.socket) -> None:
    """Swallow as many bytes as the first line says, then say so."""
    remaining = int(_line(connection))
    scratch = bytearray(_CHUNK)
    while remaining > 0:
        got = connection.recv_into(scratch, min(_CHUNK, remaining))
        if not got:
            return
        remaining -= got
    connection.sendall(b"done\n")


def _line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return b"0"
        line += byte
    return line


@contextmanager
def serving(serve: Callable[[socket.socket], None], pem: Path) -> Iterator[Ports]:
    """Connections get `serve`, each in a thread."""
    ports = Ports(free_port(), free_port())
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_serve, args=(serve, ports, str(pem)), daemon=True)
    process.start()
    try:
        wait_for_port(ports.tls)
        yield ports
    finally:
        process.kill()
        process.join()


def _serve(serve: Callable[[socket.socket], None], ports: Ports, pem: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is for all, and who started us ends us
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)

    def handle(connection: socket.socket, context: ssl.SSLContext | None) -> None:
        with suppress(OSError), connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is None:
                serve(connection)
            else:
                with context.wrap_socket(connection, server_side=True) as secured:
                    serve(secured)
                    secured.unwrap()

    def accept(port: int, context: ssl.SSLContext | None) -> None:
        listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handle, args=(connection, context), daemon=True).start()

    threading.Thread(target=accept, args=(ports.plain, None), daemon=True).start()
    accept(ports.tls, server)


@contextmanager
def crowd_echo(processes: int = 2) -> Iterator[int]:
    """An `echo` for very many connections, which holds them without a thread for each. Its plain port."""
    port = free_port()
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_echo_all, args=(port,), daemon=True) for _ in range(processes)]
    for process in started:
        process.start()
    try:
        wait_for_port(port)
        yield port
    finally:
        for process in started:
            process.kill()
            process.join()


def _echo_all(port: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    allow_descriptors()
    # SO_REUSEPORT: the kernel spreads connections over the processes.
    listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG, reuse_port=True)
    listener.setblocking(False)
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    _take(listener, selector)
                else:
                    _answer(key.fileobj, selector)  # type: ignore[arg-type]


def _take(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    with suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)


def _answer(connection: socket.socket, selector: selectors.BaseSelector) -> None:
    # What is echoed here is a few bytes, which the socket always takes.
    with suppress(OSError):
        if data := connection.recv(_CHUNK):
            connection.sendall(data)
            return
    selector.unregister(connection)
    connection.close()


def allow_descriptors() -> int:
    """Raise this process's limit of descriptors as far as it may. Returns it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
