"""The two legs of a connection: a socket each, plain or with a TLS engine. The relay does not know which is which.

A leg never blocks: `receive` gives None where it would, and `send` takes less than it was given. Ciphertext that the
kernel did not take is the leg's `backlog`; while there is any, the leg takes no more plaintext, so it is bounded by
what one `send` produces.
"""

import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import field
from time import monotonic
from typing import Protocol

from gtunnel.errors import GtunnelError
from gtunnel.net.errors import SocketError, WaitTimeoutError
from gtunnel.net.waiting import READ, WRITE, Readiness, Wakeup
from gtunnel.tls.engine import TlsEngine
from gtunnel.tls.errors import HandshakeError
from gtunnel.values import dataclass

# What one receive takes at most: eight TLS records. With half of it bulk data took a tenth more of processor time, with
# twice as much hardly less; and it is also what a connection may keep for a slow reader.
SCRATCH_BYTES = 8 * 16384

# A view that is cut to nothing would keep all that it was cut from.
_NOTHING = memoryview(b"")

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Scratch:
    """A worker's buffers. Between a receive and a send nothing else runs, so all connections share them."""

    plain: memoryview = field(default_factory=lambda: memoryview(bytearray(SCRATCH_BYTES)))
    # Ciphertext that has been received, until it is fed, and such that is sent: the records of all of `plain`.
    cipher: memoryview = field(default_factory=lambda: memoryview(bytearray(SCRATCH_BYTES + 8 * 256)))


class Leg(Protocol):
    """One side of a connection. Owns its socket."""

    @property
    def watch(self) -> Readiness:
        """Whether a `receive` may give something."""

    @property
    def pending(self) -> bool:
        """Whether a `receive` may give something that was received already: no watch would tell of it."""

    @property
    def blocked(self) -> bool:
        """Whether `send` takes nothing until the leg becomes writable (or readable)."""

    def receive(self, buffer: memoryview) -> int | None:
        """Bytes received into `buffer`; 0 at the orderly end, None for nothing now. Raises `GtunnelError`."""

    def send(self, data: memoryview) -> int:
        """Take up to all of `data`; returns how much. Raises `GtunnelError`."""

    def flush(self) -> bool:
        """Try to send what is kept; True when nothing is. Raises `GtunnelError`."""

    def finish(self) -> None:
        """Say that we send no more, and keep receiving. Raises `GtunnelError`."""

    def spare(self) -> None:
        """The peer has been told of a failure: end its stream in order. No reset, which might destroy what it was told.

        Raises nothing.
        """

    def want(self, *, receive: bool, send: bool) -> None:
        """Set what the leg's watch waits for."""

    def shrink(self) -> None:
        """Nothing has moved for a while: give back memory that only a busy leg needs. Raises nothing."""

    def close(self, *, reset: bool) -> None:
        """Close the socket; with `reset` by RST, so that the peer learns of the failure."""


class PlainLeg:
    """A socket as it is."""

    __slots__ = ("_wakeup", "blocked", "sock", "told", "watch")
    pending = False

    def __init__(self, sock: socket.socket, wakeup: Wakeup) -> None:
        """Take over `sock`, which must be non-blocking."""
        self.sock = sock
        self.blocked = False
        # Whether the peer has been told of a failure otherwise: it needs no reset then.
        self.told = False
        self._wakeup = wakeup
        self.watch = wakeup.watch(sock.fileno())

    def receive(self, buffer: memoryview) -> int | None:
        """See `Leg`."""
        try:
            count = self.sock.recv_into(buffer)
        except BlockingIOError:
            self.watch.readable = False
            return None
        except OSError as error:
            raise SocketError.of("readsocket", error) from error
        if 0 < count < len(buffer):
            # The socket is drained; asking again would only tell that.
            self.watch.readable = False
        return count

    def send(self, data: memoryview) -> int:
        """See `Leg`."""
        try:
            count = self.sock.send(data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            raise SocketError.of("writesocket", error) from error
        self.blocked = count < len(data)
        return count

    def flush(self) -> bool:
        """Nothing is kept: the kernel took it or the caller still has it."""
        self.blocked = False
        return True

    def finish(self) -> None:
        """See `Leg`: shutdown(SHUT_WR)."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise SocketError.of("shutdown", error) from error

    def spare(self) -> None:
        """See `Leg`."""
        self.told = True
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            # What is unread when a socket is closed makes the kernel reset it.
            self.sock.recv(SCRATCH_BYTES)

    def want(self, *, receive: bool, send: bool) -> None:
        """See `Leg`."""
        self.watch.want((READ if receive else 0) | (WRITE if send else 0))

    def shrink(self) -> None:
        """See `Leg`."""
        self.watch.shrink()

    def close(self, *, reset: bool) -> None:
        """See `Leg`."""
        self._wakeup.forget(self.watch)
        if reset and not self.told:
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.sock.close()


class TlsLeg:
    """A socket with a TLS engine before it."""

    __slots__ = (
        *("_backlog", "_buffer", "_engine", "_plain", "_starved", "_wakeup"),
        *("blocked", "on_data", "pending", "watch"),
    )

    def __init__(self, plain: PlainLeg, engine: TlsEngine, scratch: Scratch, wakeup: Wakeup) -> None:
        """Take over the plain leg; from now on its bytes are TLS."""
        self._plain = plain
        self._engine = engine
        self._buffer = scratch.cipher
        self._wakeup = wakeup
        # Ciphertext that the kernel did not take, and whether the engine takes nothing before it is fed: `blocked`.
        self._backlog = _NOTHING
        self._starved = False
        self.blocked = False
        # Also readable while something is pending: records that were received already.
        self.pending = False
        self.watch = plain.watch
        # Called once, when the peer's first data has come.
        self.on_data: Callable[[], None] | None = None

    @property
    def engine(self) -> TlsEngine:
        """The engine, for what was negotiated."""
        return self._engine

    def handshake(self, seconds: float, convince: Callable[[], None] | None = None) -> None:
        """Shake hands within `seconds` (TIMEOUTbusy). Raises `HandshakeError`, `SocketError`, `WaitTimeoutError`.

        The limit is on the whole handshake: a peer that sends a byte now and then does not hold a connection open.

        `convince` is called once, when the cryptography is done, and raises if the peer is to be refused; it may wait,
        which does not count. Our last flight is withheld until it returns: a peer that is refused gets no session
        ticket, and in TLS 1.2 (TLS 1.3: as a server's peer) it does not even see a finished handshake. Its session is
        not resumable either: OpenSSL forgets one that is freed without close_notify.
        """
        plain = self._plain
        deadline = monotonic() + seconds
        while True:
            try:
                done = self._engine.handshake()
            except HandshakeError:
                # The alert that tells the peer why. With a reset behind it, a peer that is still sending might miss it.
                plain.told = True
                with contextlib.suppress(SocketError):
                    self.flush()
                raise
            if done and convince is not None:
                plain.want(receive=False, send=False)
                began = monotonic()
                convince()
                deadline += monotonic() - began
            self._send_flight(deadline, answered=not done)
            if done:
                break
        plain.want(receive=False, send=False)
        # The peer's first data may have come in the same segment as its last handshake message.
        self.pending = self._engine.more
        if self.pending:
            self.watch.readable = True

    def _send_flight(self, deadline: float, *, answered: bool) -> None:
        """Send what the engine has to say, and unless it was the last, wait for what the peer answers, and feed it."""
        plain, flushed, waited = self._plain, False, False
        while True:
            flushed = flushed or self.flush()
            if flushed and not answered:
                return
            left = deadline - monotonic()
            if left > 0 and flushed and plain.watch.readable and self._fill() is not None:
                if not waited:
                    # A peer that sends faster than we read must not keep others waiting.
                    self._wakeup.rest()
                return
            plain.want(receive=flushed, send=not flushed)
            if left <= 0 or not self._wakeup.wait(left):
                raise WaitTimeoutError(waiting="ssl_start", option="TIMEOUTbusy", consequence="sending reset")
            waited = True

    def receive(self, buffer: memoryview) -> int | None:
        """See `Leg`. Also raises `TlsTruncatedError`, once all that had come was read."""
        engine, count = self._engine, 0
        try:
            # What was drained stays so until something is fed.
            if engine.more:
                count = engine.read_into(buffer)
            if not count and not engine.ended:
                # Once only: a peer may send records without data (key updates) as fast as we read them. While the
                # socket has more the leg stays readable, and others get their turn in between.
                fed = self._plain.receive(self._buffer)
                if fed is None:
                    return None
                if fed:
                    count = engine.read_into(buffer, self._buffer, fed)
                else:
                    engine.feed_eof()
                    count = engine.read_into(buffer)
        finally:
            # Before all else: whoever is told that something is pending comes again and again.
            self.pending = engine.more
            if self.pending:
                self.watch.readable = True
            if self._starved or engine.has_output():
                self._collect()
        if count and self.on_data is not None:
            called, self.on_data = self.on_data, None
            called()
        return count if count or engine.ended else None

    def _collect(self) -> None:
        """After a read: what it made the engine say (an alert, the answer to a key update) waits for a `flush`."""
        self._starved = False
        if not self._backlog:
            count = self._engine.take_output(self._buffer)
            self._backlog = memoryview(bytes(self._buffer[:count])) if count else _NOTHING
        self.blocked = bool(self._backlog)

    def _fill(self) -> int | None:
        """Feed the engine from the socket; None if there is nothing now, 0 at the end of the TCP stream."""
        count = self._plain.receive(self._buffer)
        if count is None:
            return None
        if count:
            self._engine.feed(self._buffer[:count])
        else:
            self._engine.feed_eof()
        return count

    def send(self, data: memoryview) -> int:
        """See `Leg`."""
        if self.blocked and not self.flush():
            return 0
        size, buffer = len(data), self._buffer
        taken, count = self._engine.seal(data, buffer) if size else (0, 0)
        sent = self._plain.send(buffer[:count]) if count else 0
        if taken < size or sent < count or count == len(buffer):
            self._starved = taken < size
            if sent < count:
                self._backlog = memoryview(bytes(buffer[sent:count]))
                self.blocked = True
            else:
                self._send_output()
        return taken

    def flush(self) -> bool:
        """See `Leg`."""
        while self._backlog:
            sent = self._plain.send(self._backlog)
            self._backlog = self._backlog[sent:] or _NOTHING
            if self._backlog:
                return False
        self._send_output()
        return not self.blocked

    def _send_output(self) -> None:
        buffer, plain = self._buffer, self._plain
        while count := self._engine.take_output(buffer):
            sent = plain.send(buffer[:count])
            if sent < count:
                self._backlog = memoryview(bytes(buffer[sent:count]))
                break
            if count < len(buffer):
                break
        self.blocked = self._starved or bool(self._backlog)

    def finish(self) -> None:
        """See `Leg`: close_notify."""
        self._engine.close()
        self.flush()

    def spare(self) -> None:
        """See `Leg`: close_notify as well."""
        with contextlib.suppress(GtunnelError):
            self.finish()
        self._plain.spare()

    def want(self, *, receive: bool, send: bool) -> None:
        """See `Leg`. A starved engine waits for the peer, not for room in the kernel."""
        # Only a receive feeds a starved engine. Where none is due (its sink is full), input would wake us in vain.
        send = bool(self._backlog) or (send and not self._starved)
        self.watch.want((READ if receive else 0) | (WRITE if send else 0))

    def shrink(self) -> None:
        """See `Leg`."""
        self._plain.shrink()
        self._engine.shrink()

    def close(self, *, reset: bool) -> None:
        """See `Leg`."""
        self._plain.close(reset=reset)
