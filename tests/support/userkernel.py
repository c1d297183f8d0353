"""The kernel's TLS, played: a TCP socket that takes keys by setsockopt and protects records itself, as Linux's does.

What a kernel without TLS cannot show, this can, against any peer: that keys, numbers and the boundary of a takeover are
right, and what a leg does with what comes. What a real kernel does is seen in virtual machines (vagrant/ktls.py).
"""

import contextlib
import errno
import select
import socket
import struct
import threading
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

TCP_ULP = 31
SOL_TLS = 282
TLS_TX, TLS_RX = 1, 2
# cipher -> key, salt, iv: bytes in their struct.
LAYOUTS = {51: (16, 4, 8), 52: (32, 4, 8), 54: (32, 0, 12)}
DATA = 23
MAX_RECORD = 16384
MAX_WAITING = 4 * MAX_RECORD


class Half:
    """One direction, from its `struct tls12_crypto_info_…`."""

    def __init__(self, info: bytes) -> None:
        version, cipher = struct.unpack_from("=HH", info)
        assert version == 0x0304
        key_bytes, salt_bytes, iv_bytes = LAYOUTS[cipher]
        assert len(info) == 4 + iv_bytes + key_bytes + salt_bytes + 8
        iv, rest = info[4 : 4 + iv_bytes], info[4 + iv_bytes :]
        key, salt = rest[:key_bytes], rest[key_bytes : key_bytes + salt_bytes]
        self.aead = ChaCha20Poly1305(key) if cipher == 54 else AESGCM(key)
        self.nonce = int.from_bytes(salt + iv)
        self.sequence = int.from_bytes(rest[-8:])

    def _next(self) -> bytes:
        nonce = self.nonce ^ self.sequence
        self.sequence += 1
        return nonce.to_bytes(12)

    def seal(self, kind: int, content: bytes) -> bytes:
        header = b"\x17\x03\x03" + (len(content) + 17).to_bytes(2)
        return header + self.aead.encrypt(self._next(), content + bytes([kind]), header)

    def seal_as_next(self, kind: int, content: bytes, later: int = 0) -> bytes:
        """What whoever sends to this half would send now, or so many records later: as its peer has the same keys."""
        before, self.sequence = self.sequence, self.sequence + later
        sealed = self.seal(kind, content)
        self.sequence = before
        return sealed

    def open(self, record: bytes) -> tuple[int, bytes]:
        inner = self.aead.decrypt(self._next(), record[5:], record[:5]).rstrip(b"\0")
        return inner[-1], inner[:-1]


class UserKernelSocket(socket.socket):
    """A socket that has TLS once it is given keys. Takes over the one that it is made of."""

    def __init__(self, sock: socket.socket, refuses: int = 0) -> None:
        """`refuses`: the option of TLS (TLS_TX, TLS_RX) that it does not take."""
        super().__init__(fileno=sock.detach())
        self.setblocking(False)
        self.refuses = refuses
        self.halves: dict[int, Half] = {}
        self._partial = bytearray()
        self._opened: list[tuple[int, bytes]] = []
        self._ended = False
        self._failed: OSError | None = None
        self._waiting = bytearray()
        self._lock = threading.Lock()

    def setsockopt(self, level: int, name: int, value: Any, *rest: Any) -> None:
        if (level, name) == (socket.IPPROTO_TCP, TCP_ULP):
            assert value == b"tls"
        elif level == SOL_TLS:
            if name == self.refuses:
                raise OSError(errno.EINVAL, "Invalid argument")
            self.halves[name] = Half(value)
        else:
            super().setsockopt(level, name, value, *rest)

    def recv_into(self, buffer: Any, *rest: Any) -> int:
        if TLS_RX not in self.halves:
            return super().recv_into(buffer, *rest)
        if self._look() and self._opened[0][0] != DATA:
            raise OSError(errno.EIO, "Input/output error")
        view, count = memoryview(buffer), 0
        while count < len(view) and self._look(only_data=count > 0) and self._opened[0][0] == DATA:
            count += self._move(view[count:])
        if not count and not self._ended:
            raise self._failed or BlockingIOError
        return count

    def recvmsg_into(self, buffers: Any, *_: Any) -> Any:
        if self._look():
            kind = self._opened[0][0]
            return self._move(memoryview(buffers[0])), [(SOL_TLS, 2, bytes([kind]))], 0, None
        if not self._ended:
            raise self._failed or BlockingIOError
        return 0, [], 0, None

    def _move(self, view: memoryview) -> int:
        kind, content = self._opened.pop(0)
        count = min(len(view), len(content))
        view[:count] = content[:count]
        if count < len(content):
            self._opened.insert(0, (kind, content[count:]))
        return count

    def _look(self, *, only_data: bool = False) -> bool:
        """Whether a record is there. One that is not wanted stays in the socket, so that a poll tells of it."""
        while not self._opened and not self._ended and self._failed is None:
            try:
                if only_data and not self._is_next_data():
                    break
                wanted = 5 if len(self._partial) < 5 else 5 + int.from_bytes(self._partial[3:5])
                data = super().recv(wanted - len(self._partial))
            except BlockingIOError:
                break
            self._ended = not data
            self._partial += data
            if len(self._partial) < 5 or len(self._partial) < 5 + int.from_bytes(self._partial[3:5]):
                continue
            try:
                opened = self.halves[TLS_RX].open(bytes(self._partial))
            except InvalidTag:
                self._failed = OSError(errno.EBADMSG, "Bad message")
                break
            self._partial.clear()
            if opened[1] or opened[0] != DATA:
                self._opened.append(opened)
        return bool(self._opened)

    def _is_next_data(self) -> bool:
        """Whether the socket has a whole record of data. Raises `BlockingIOError` where it has nothing."""
        if self._partial:
            return False
        header = super().recv(5, socket.MSG_PEEK)
        end = 5 + int.from_bytes(header[3:5])
        record = super().recv(end, socket.MSG_PEEK) if len(header) == 5 else b""
        if not record or len(record) < end:
            return False
        half = self.halves[TLS_RX]
        try:
            return half.open(record)[0] == DATA
        except InvalidTag:
            return False
        finally:
            half.sequence -= 1

    def send(self, data: Any, *rest: Any) -> int:
        if TLS_TX not in self.halves:
            return super().send(data, *rest)
        view, count = memoryview(data), 0
        with self._lock:
            while count < len(view) and len(self._waiting) < MAX_WAITING:
                part = bytes(view[count : count + MAX_RECORD])
                self._waiting += self.halves[TLS_TX].seal(DATA, part)
                count += len(part)
                self._push()
        if view and not count:
            raise BlockingIOError
        return count

    def sendmsg(self, buffers: Any, ancillary: Any = (), *_: Any) -> int:
        ((level, name, kind),) = ancillary
        assert (level, name) == (SOL_TLS, 1)
        (content,) = buffers
        with self._lock:
            if len(self._waiting) >= MAX_WAITING:
                raise BlockingIOError
            self._waiting += self.halves[TLS_TX].seal(kind[0], bytes(content))
            self._push()
        return len(content)

    def _push(self) -> None:
        """As much as there is room for; the rest when there is, by itself."""
        began = len(self._waiting)
        with contextlib.suppress(BlockingIOError):
            del self._waiting[: super().send(self._waiting)]
        if self._waiting and began:
            threading.Thread(target=self._push_rest, daemon=True).start()

    def _push_rest(self) -> None:
        while True:
            try:
                select.select([], [self], [], 10)
                with self._lock:
                    if not self._waiting:
                        return
                    del self._waiting[: super().send(self._waiting)]
            except BlockingIOError:
                continue
            except (OSError, ValueError):
                # Closed.
                return
