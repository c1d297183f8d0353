"""TCP and Unix-socket servers in threads: they do one simple thing with each connection and remember who came.

A handler is a function on the accepted socket; the socket is closed when it returns. What it raises is kept in
`errors`, so a test can say that there were none, or which.
"""

import contextlib
import hashlib
import select
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CHUNK = 65536

Handler = Callable[[socket.socket], None]


@dataclass(slots=True)
class Seen:
    """What one connection brought. `peer` is empty for a Unix socket."""

    peer: tuple[str, int]
    local: tuple[str, int]
    size: int = 0
    digest: str = ""
    data: bytes = field(default=b"", repr=False)


class Server:
    """Listens from its construction on, each connection in a thread of its own. A context manager; `close` is final.

    `host` is a numeric address, or the path of a Unix socket. `port` 0 takes any.
    """

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self._handler = handler
        self.host = host
        if host.startswith("/"):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(host)
            self._listener.listen(128)
            self.port = 0
        else:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=128)
            self.port = int(self._listener.getsockname()[1])
        self.peers: list[tuple[str, int]] = []
        self.errors: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def endpoint(self) -> str:
        """As `connect =` wants it."""
        return self.host if self.host.startswith("/") else f"{self.host}:{self.port}"

    def close(self) -> None:
        """Stop listening, cut what is open, and wait for the threads."""
        self._closing = True
        # shutdown wakes the accepting thread; close alone would leave it asleep.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join(5)
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            # Not getpeername: a connection that was reset meanwhile has none any more.
            self.peers.append(_address(peer))
            self._open.add(connection)
            thread = threading.Thread(target=self._handle, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _handle(self, connection: socket.socket) -> None:
        try:
            with connection:
                self._handler(connection)
        except BaseException as error:  # noqa: BLE001 - a test looks at it
            if not self._closing:
                self.errors.append(error)
        finally:
            self._open.discard(connection)


def echo(connection: socket.socket) -> None:
    """Send back what comes; at the end of it, end our side as well."""
    while data := connection.recv(CHUNK):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def discard(connection: socket.socket) -> None:
    """Read to the end and say nothing."""
    while connection.recv(CHUNK):
        pass


def source(data: bytes) -> Handler:
    """Send `data`, end our side, then read to the end: the order in which half-close matters."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        discard(connection)

    return handle


def reply_after_end(reply: bytes, seen: list[Seen] | None = None) -> Handler:
    """Read to the end, and only then send `reply`: works only through what keeps half-close."""

    def handle(connection: socket.socket) -> None:
        record = _read_all(connection)
        if seen is not None:
            seen.append(record)
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_WR)

    return handle


def sink(seen: list[Seen]) -> Handler:
    """Read to the end and note what came."""

    def handle(connection: socket.socket) -> None:
        seen.append(_read_all(connection))

    return handle


def hang(connection: socket.socket) -> None:
    """Read nothing, say nothing, until the other side or the server closes: for timeouts."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    poll.poll()


def _read_all(connection: socket.socket) -> Seen:
    parts: list[bytes] = []
    record = Seen(_address(connection.getpeername()), _address(connection.getsockname()))
    while data := connection.recv(CHUNK):
        parts.append(data)
    record.data = b"".join(parts)
    record.size = len(record.data)
    record.digest = hashlib.sha256(record.data).hexdigest()
    return record


def _address(name: object) -> tuple[str, int]:
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return "", 0
