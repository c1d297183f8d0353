"""Sessions on a server that speaks stunnel's sessiond protocol (shared/notes; stunnel's option sessiond).

One datagram each way: version, type, timeout (seconds, network order), the session's id padded with zeros to 32 bytes,
and the session in DER, which has to fit into 512 bytes: one with a client's certificate does not.
"""

import struct
from time import monotonic
from typing import Final

from gevent import socket

from gtunnel.address import HostPort, SocketAddress
from gtunnel.events import Level, Log
from gtunnel.net import resolver, sockopts
from gtunnel.net.errors import ResolveError, errno_text
from gtunnel.net.patience import Patience
from gtunnel.values import dataclass

VERSION: Final = 1
NEW: Final = 0
GET: Final = 1
ERROR: Final = 0x80
OK: Final = 0x81
KEY_BYTES: Final = 32
MAX_VALUE: Final = 512
# What the protocol's 16 bits are used for.
MAX_SECONDS: Final = 64800
# A handshake waits this long for an answer. A server in the same network takes a hundredth of it.
ANSWER_SECONDS: Final = 0.5
# How long a looked-up address is used.
_ADDRESS_SECONDS: Final = 60.0

_HEAD: Final = struct.Struct(f"!BBH{KEY_BYTES}s")


@dataclass(frozen=True, slots=True)
class Datagram:
    """A question or an answer."""

    kind: int
    seconds: int
    key: bytes
    value: bytes = b""

    def encode(self) -> bytes:
        """As it is sent."""
        return _HEAD.pack(VERSION, self.kind, self.seconds, self.key) + self.value

    @classmethod
    def decode(cls, data: bytes) -> "Datagram | None":
        """One that came; None if it is none of this protocol's."""
        if not _HEAD.size <= len(data) <= _HEAD.size + MAX_VALUE:
            return None
        version, kind, seconds, key = _HEAD.unpack_from(data)
        return None if version != VERSION else cls(kind, seconds, key, data[_HEAD.size :])


class Sessiond:
    """A `resumption.SessionStore` on such a server. Opens a socket for each question, and closes it."""

    def __init__(self, address: HostPort, mark: int = 0) -> None:
        """`mark` is the SO_MARK of its sockets (0: none)."""
        self._address = address
        self._mark = mark
        self._found: tuple[SocketAddress, float] | None = None
        self._patience = Patience(f"sessiond at {address}")

    def get(self, key: bytes, log: Log) -> bytes | None:
        """See `SessionStore`."""
        answer = self._ask(Datagram(GET, 0, _padded(key)), log, wait=True)
        return None if answer is None or answer.kind != OK or not answer.value else answer.value

    def put(self, key: bytes, value: bytes, seconds: float, log: Log) -> None:
        """See `SessionStore`."""
        if len(value) > MAX_VALUE:
            log.write(Level.DEBUG, f"sessiond: a session of {len(value)} bytes is too large to be kept")
            return
        self._ask(Datagram(NEW, min(int(seconds), MAX_SECONDS), _padded(key), value), log, wait=False)

    def _ask(self, question: Datagram, log: Log, *, wait: bool) -> Datagram | None:
        if self._patience.worn():
            return None
        try:
            with self._connected() as sock:
                sock.send(question.encode())
                answer = self._answer(sock, question.key) if wait else None
        except ResolveError as error:
            self._patience.failed(error, log)
            return None
        except OSError as error:
            self._patience.failed(errno_text(error), log)
            return None
        if wait:
            self._patience.answered(log)
        return answer

    def _connected(self) -> socket.socket:
        address = self._resolved()
        sock = socket.socket(address.family, socket.SOCK_DGRAM)
        try:
            if self._mark:
                sockopts.set_mark(sock, self._mark)
            sock.connect(address.sockaddr)
        except BaseException:
            sock.close()
            raise
        return sock

    def _resolved(self) -> SocketAddress:
        now = monotonic()
        if self._found is None or now - self._found[1] > _ADDRESS_SECONDS:
            address = resolver.lookup(self._address)[0]
            if not isinstance(address, SocketAddress):
                raise ResolveError(host=self._address.host, reason="it is no network address")
            self._found = (address, now)
        return self._found[0]

    @staticmethod
    def _answer(sock: socket.socket, key: bytes) -> Datagram:
        """The answer to our question. Raises `OSError` (TimeoutError) if none comes in time."""
        deadline = monotonic() + ANSWER_SECONDS
        while True:
            sock.settimeout(max(0.001, deadline - monotonic()))
            answer = Datagram.decode(sock.recv(_HEAD.size + MAX_VALUE + 1))
            if answer is not None and answer.key == key:
                return answer


def _padded(key: bytes) -> bytes:
    return key.ljust(KEY_BYTES, b"\0")
