"""The leg of a connection whose TLS has become the kernel's, and the one that it was before.

A `HandoverLeg` is a `TlsLeg` until somebody asks it to `hand_over`. That takes a boundary of records in both
directions, and where one is being received it reads no further than to its end: what is in our memory the kernel does
not get to see. From then on a `KernelTlsLeg` has the socket, and does what the `TlsLeg` would have done; records that
are no data, alerts above all, are its to deal with.

What a kernel cannot do is to change keys: a peer that asks for it (RFC 8446, section 4.6.3) has its connection ended,
with an error that says so.
"""

import contextlib
import errno
import select
import socket
from typing import Final

from gtunnel.net import kerneltls
from gtunnel.net.errors import SocketError
from gtunnel.net.legs import PlainLeg, Scratch, TlsLeg
from gtunnel.net.waiting import Wakeup
from gtunnel.tls.errors import TlsStreamError, TlsTruncatedError
from gtunnel.tls.handover import HandoverEngine
from gtunnel.tls.kernelkeys import ALERT, DATA, HANDSHAKE
from gtunnel.tls.openssl import binding
from gtunnel.tls.recordcount import HEADER_BYTES
from gtunnel.tls.tickets import TicketReader

# RFC 8446, section 6.
_WARNING: Final = 1
_FATAL: Final = 2
_CLOSE_NOTIFY: Final = 0
_UNEXPECTED_MESSAGE: Final = 10
_BAD_RECORD_MAC: Final = 20
_RECORD_OVERFLOW: Final = 22
_USER_CANCELED: Final = 90
# What the kernel says of a record, in OpenSSL's words, and what the peer is told.
_BAD_RECORDS: Final = {
    errno.EBADMSG: ("decryption failed or bad record mac", _BAD_RECORD_MAC),
    errno.EMSGSIZE: ("packet length too long", _RECORD_OVERFLOW),
    errno.EINVAL: ("wrong version number", _UNEXPECTED_MESSAGE),
}


class KernelTlsLeg:
    """A socket whose TLS is the kernel's. See `Leg`."""

    __slots__ = (
        "_engine",
        "_farewell_due",
        "_odd",
        "_plain",
        "_room",
        "_tickets",
        "blocked",
        "ended",
        "pending",
        "watch",
    )

    def __init__(self, plain: PlainLeg, engine: HandoverEngine) -> None:
        """Take over the plain leg, whose socket the kernel has the keys for; the engine has let go of it."""
        self._plain = plain
        self._engine = engine
        self._tickets = TicketReader()
        self._farewell_due = False
        self._odd: OSError | None = None
        self._room: select.poll | None = None
        self.ended = False
        self.blocked = False
        self.watch = plain.watch
        # What came before the kernel had the keys, no poll may tell of.
        self.pending = plain.watch.readable = True

    @property
    def cipher(self) -> str:
        """The cipher suite, for the log."""
        return self._engine.negotiated().cipher

    @property
    def sock(self) -> socket.socket:
        """The socket, for those who move bytes without looking at them."""
        return self._plain.sock

    def receive(self, buffer: memoryview) -> int | None:
        """See `Leg`. Raises what a `TlsLeg` does."""
        self.pending = False
        if self.ended:
            return 0
        odd, self._odd = self._odd, None
        try:
            count = self._plain.sock.recv_into(buffer)
        except BlockingIOError:
            self.watch.readable = False
            if odd is not None:
                raise self._failure(odd) from odd
            return None
        except OSError as error:
            if error.errno != errno.EIO:
                raise self._failure(error) from error
            # It is no data.
            return self._receive_record(buffer)
        return count or self._truncated()

    def _receive_record(self, buffer: memoryview) -> int | None:
        try:
            count, kind = kerneltls.receive_record(self._plain.sock, buffer)
        except BlockingIOError:
            self.watch.readable = False
            return None
        except OSError as error:
            raise self._failure(error) from error
        if kind == DATA or (kind is None and count):
            return count
        if kind is None:
            return self._truncated()
        content = bytes(buffer[:count])
        if kind == ALERT and len(content) == 2:
            return self._take_alert(*content)
        if kind == HANDSHAKE:
            refused = self._tickets.refusal(content)
            if not refused:
                return None
            self._tell(_UNEXPECTED_MESSAGE)
            raise TlsStreamError(function="SSL_read", reason=refused)
        self._tell(_UNEXPECTED_MESSAGE)
        raise TlsStreamError(function="SSL_read", reason="SSL routines::unexpected record")

    def refused(self, error: OSError) -> None:
        """What somebody was told who has the kernel move bytes without looking at them (splice(2)).

        Nothing yet, where it is what the kernel says of a record without data as well (EINVAL): the next `receive`
        finds that, or raises. Otherwise raises what `receive` would: the kernel tells of an error only once.
        """
        if error.errno != errno.EINVAL:
            raise self._failure(error) from error
        # Its traceback leads back here: all of the connection would be there until the collector comes by.
        self._odd = error.with_traceback(None)

    def _take_alert(self, level: int, description: int) -> int | None:
        if description == _CLOSE_NOTIFY:
            self.ended = True
            self._engine.tell_farewell(received=True)
            return 0
        if level == _WARNING and description == _USER_CANCELED:
            return None
        raise TlsStreamError(function="SSL_read", reason=binding.alert_reason(description))

    def _truncated(self) -> int:
        if not self._engine.tolerates_truncation:
            raise TlsTruncatedError(function="SSL_read")
        self.ended = True
        return 0

    def _failure(self, error: OSError) -> SocketError | TlsStreamError:
        """What an error of the kernel is: its socket's or a record's. The peer is told of the latter."""
        if error.errno not in _BAD_RECORDS:
            return SocketError.of("readsocket", error)
        reason, alert = _BAD_RECORDS[error.errno]
        self._tell(alert)
        return TlsStreamError(function="SSL_read", reason=f"SSL routines::{reason}")

    def _tell(self, alert: int) -> None:
        """A last word: why it is over."""
        with contextlib.suppress(OSError):
            kerneltls.send_record(self._plain.sock, ALERT, bytes((_FATAL, alert)))

    def send(self, data: memoryview) -> int:
        """See `Leg`."""
        count = self._plain.send(data)
        self.blocked = self._plain.blocked
        return count

    def flush(self) -> bool:
        """See `Leg`: only our farewell may have to wait for room."""
        if self._farewell_due:
            try:
                kerneltls.send_record(self._plain.sock, ALERT, bytes((_WARNING, _CLOSE_NOTIFY)))
            except BlockingIOError:
                self.blocked = True
                return False
            except OSError as error:
                raise SocketError.of("writesocket", error) from error
            self._farewell_due = False
            self._engine.tell_farewell(sent=True)
            self._room = select.poll()
            self._room.register(self._plain.sock, select.POLLOUT)
        # A record that TCP has no room for is lost when the socket is closed. While there is room there is none.
        self.blocked = self._room is not None and not self._room.poll(0)
        return not self.blocked

    def finish(self) -> None:
        """See `Leg`: close_notify."""
        self._farewell_due = True
        self.flush()

    def spare(self) -> None:
        """See `Leg`."""
        with contextlib.suppress(SocketError):
            self.finish()
        self._plain.spare()

    def want(self, *, receive: bool, send: bool) -> None:
        """See `Leg`."""
        self._plain.want(receive=receive, send=send)

    def shrink(self) -> None:
        """See `Leg`."""
        self._plain.shrink()

    def close(self, *, reset: bool) -> None:
        """See `Leg`."""
        self._plain.close(reset=reset)


class HandoverLeg(TlsLeg):
    """A `TlsLeg` whose connection the kernel can go on with."""

    __slots__ = ("_hands_over", "approaching")

    def __init__(self, plain: PlainLeg, engine: HandoverEngine, scratch: Scratch, wakeup: Wakeup) -> None:
        """See `TlsLeg`."""
        super().__init__(plain, engine, scratch, wakeup)
        # The engine again, as what it is.
        self._hands_over = engine
        # Whether it looks for a boundary.
        self.approaching = False

    def receive(self, buffer: memoryview) -> int | None:
        """See `Leg`."""
        if not self.approaching:
            return super().receive(buffer)
        # To the end of the record, and if that is where we are, to the end of the next one's header.
        whole = self._buffer
        self._buffer = whole[: self._hands_over.missing or HEADER_BYTES]
        try:
            return super().receive(buffer)
        finally:
            self._buffer = whole

    def keep(self) -> None:
        """There will be no handing over: be a `TlsLeg` like others."""
        self.approaching = False
        self._hands_over.keep()

    def hand_over(self) -> "tuple[KernelTlsLeg | None, str]":
        """The leg that goes on, if this is the moment, and else why there will be none; empty while it may come.

        Raises `SocketError` where the kernel has spoilt the connection.
        """
        engine = self._hands_over
        if not engine.can_let_go:
            return None, "it is not TLS 1.3"
        if self._backlog or self._starved or not engine.is_at_boundary:
            # Reading bit by bit is for the moment when it is all that is missing.
            self.approaching = not (self._backlog or self._starved)
            return None, ""
        self.approaching = False
        keys = engine.let_go()
        if keys is None:
            return None, "its cipher is none of the kernel's, or its keys have changed"
        refused = kerneltls.give(self._plain.sock, keys.send, keys.receive)
        if refused:
            return None, refused
        # It keeps what was negotiated, and has no more use for buffers.
        engine.shrink()
        return KernelTlsLeg(self._plain, engine), ""
