"""A TLS peer that can do what well-behaved libraries do not: half-close, cut the stream, send any bytes as a record.

Python's `ssl` over memory BIOs: `SSLSocket` has no half-close, and gtunnel's own TLS cannot be what it is tested with.
"""

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from tests.support.certificates import Identity
from tests.support.servers import CHUNK, Handler

TIMEOUT = 15.0

T = TypeVar("T")


class TlsPeer:
    """One end of a TLS connection over a connected socket, which it owns. The handshake is done on construction.

    Raises `ssl.SSLError` for a failed handshake, `TruncatedError` for an end of stream without close_notify.
    """

    def __init__(
        self,
        connection: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        self.socket = connection
        self.socket.settimeout(TIMEOUT)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_side=server_side, server_hostname=server_hostname)
        try:
            self._drive(self.tls.do_handshake)
        except BaseException:
            # The alert that says why is still to be sent.
            with contextlib.suppress(OSError):
                self._flush()
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Encrypt and send all of it."""
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            self._drive(lambda chunk=chunk: self.tls.write(chunk))  # type: ignore[misc]

    def receive(self, size: int = CHUNK) -> bytes:
        """Some data; b"" after the other side's close_notify. Raises `TruncatedError`."""
        try:
            return bytes(self._drive(lambda: self.tls.read(size)))
        except ssl.SSLZeroReturnError:
            return b""

    def receive_exactly(self, size: int) -> bytes:
        """That many bytes, or fewer if the other side ends before."""
        data = bytearray()
        while len(data) < size and (more := self.receive(size - len(data))):
            data += more
        return bytes(data)

    def receive_all(self) -> bytes:
        """All up to the other side's close_notify. Raises `TruncatedError`."""
        data = bytearray()
        while more := self.receive():
            data += more
        return bytes(data)

    def unsent(self) -> bytes:
        """What `tls` has written and nobody has sent: the caller's to send."""
        return self._out.read()

    def close_notify(self) -> None:
        """End our direction only: the other side may go on, and we may read it."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self.tls.unwrap()
        self._flush()

    def cut(self) -> None:
        """End the TCP stream without a close_notify: a truncated TLS stream. Reading goes on."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _drive(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.socket.recv(CHUNK)
                if data:
                    self._in.write(data)
                elif self._in.eof:
                    raise TruncatedError from None
                else:
                    self._in.write_eof()
            except ssl.SSLEOFError:
                raise TruncatedError from None
            except ssl.SSLError as error:
                # What Python 3.11 makes of OpenSSL 3's own word for it.
                if error.reason == "UNEXPECTED_EOF_WHILE_READING":
                    raise TruncatedError from None
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        while data := self._out.read():
            self.socket.sendall(data)


class TruncatedError(Exception):
    """The TCP stream ended without a close_notify."""


def client_context(ca: str | None = None, identity: Identity | None = None, version: str = "") -> ssl.SSLContext:
    """A client's context: trusts `ca` (None: anybody), presents `identity`. `version`: "1.2" or "1.3" only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca)
    return _finish(context, identity, version)


def server_context(identity: Identity, ca: str | None = None, version: str = "") -> ssl.SSLContext:
    """A server's context; with `ca` it demands a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    return _finish(context, identity, version)


def connect(
    port: int, context: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", name: str | None = "localhost"
) -> TlsPeer:
    """Connect and shake hands, as a client that trusts anybody unless a context is given. `name` is sent as SNI."""
    connection = socket.create_connection((host, port), timeout=TIMEOUT)
    return TlsPeer(connection, context or client_context(), server_hostname=name)


def serve(handle: Callable[[TlsPeer], None], context: ssl.SSLContext) -> Handler:
    """A handler for `servers.Server` that shakes hands and then calls `handle`."""

    def handler(connection: socket.socket) -> None:
        with TlsPeer(connection, context, server_side=True) as peer:
            handle(peer)

    return handler


def tls_echo(peer: TlsPeer) -> None:
    """Send back what comes, then close_notify for close_notify."""
    while data := peer.receive():
        peer.send(data)
    peer.close_notify()


def _finish(context: ssl.SSLContext, identity: Identity | None, version: str) -> ssl.SSLContext:
    # Debian's Python takes a cut stream for an ended one, unless it is told not to.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    if identity is not None:
        context.load_cert_chain(identity.cert, identity.key)
    if version:
        only = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        context.minimum_version = context.maximum_version = only
    return context
