"""The probe's two ends of a connection: a client, which may have to speak TLS, and a server that says a word."""

import contextlib
import os
import socket
import ssl

GREETING = b"gtunnel probe\n"
_TLS_RECORD = b"\x16\x03"
"""A handshake record's first bytes (RFC 8446, 5.1)."""


class Client:
    """A connection that is being made. Never blocks."""

    def __init__(self, family: int, source: str, destination: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.bind((source, 0))
        self.port: int = self._socket.getsockname()[1]
        self._destination = destination, port
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.received = b""
        self.ended = ""

    def begin(self) -> None:
        """Send the SYN. To be called once, in the client's namespace (where the socket is anyway)."""
        self._socket.connect_ex(self._destination)

    def connected(self) -> bool:
        """Whether the handshake is done. `ended` says why it will never be."""
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.ended = self.ended or os.strerror(number)
            return False
        try:
            self._socket.getpeername()
        except OSError:
            return False
        return True

    @property
    def speaks_tls(self) -> bool:
        """Whether `speak_tls` was called."""
        return self._tls is not None

    def speak_tls(self) -> None:
        """Begin a handshake: the proxy may want TLS before it connects anywhere. Nobody's certificate is checked."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._tls = context.wrap_bio(self._incoming, self._outgoing)

    def turn(self) -> None:
        """Take what has come and send what has to be sent."""
        if self.ended:
            return
        try:
            data = self._socket.recv(65536)
            if not data:
                self.ended = "closed"
            (self._incoming.write if self._tls is not None else self._take)(data)
        except BlockingIOError:
            pass
        except OSError as error:
            self.ended = error.strerror or str(error)
        if self._tls is not None:
            with contextlib.suppress(ssl.SSLError):  # an alert, or a peer that speaks no TLS: then nothing comes
                self._tls.do_handshake()
                self._take(self._tls.read(4096))
            with contextlib.suppress(OSError):
                self._socket.send(self._outgoing.read())

    def _take(self, data: bytes) -> int:
        self.received += data
        return len(data)

    def close(self) -> None:
        """By RST, so that nothing lingers."""
        _close(self._socket)


class Server:
    """Listens, and says nothing before it is asked to: a proxy that speaks TLS would take it for no TLS server."""

    def __init__(self, family: int, host: str, port: int) -> None:
        self._listener = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setblocking(False)
        self._listener.bind((host, port))
        self._listener.listen(4)
        self._connections: list[socket.socket] = []
        self.peers: list[tuple[str, int]] = []
        self.received = b""

    @property
    def was_asked_for_tls(self) -> bool:
        """Whether the proxy has begun TLS."""
        return self.received.startswith(_TLS_RECORD)

    def turn(self) -> None:
        """Accept, and take what has come."""
        with contextlib.suppress(BlockingIOError):
            connection, peer = self._listener.accept()
            connection.setblocking(False)
            self._connections.append(connection)
            self.peers.append((peer[0], peer[1]))
        for connection in self._connections:
            with contextlib.suppress(OSError):
                self.received += connection.recv(4096)

    def greet(self) -> None:
        """Say a word on each connection."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.send(GREETING)

    def close(self) -> None:
        """All of it."""
        for connection in self._connections:
            _close(connection)
        self._listener.close()


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()
