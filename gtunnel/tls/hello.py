"""What a client says first: the ClientHello (RFC 8446, section 4.1.2; RFC 5246, section 7.4.1.2), read without OpenSSL.

A server needs it before OpenSSL sees it: the server name decides whose certificate, versions and demands the connection
has, and the session that a client wants to resume may have to be fetched from somewhere. When a handshake fails, it
tells what the client would have accepted.

A `HelloReader` takes bytes as they come and never more than OpenSSL would. It decides nothing: what is no ClientHello
is left to OpenSSL, whose answer is an alert.
"""

import struct
from contextlib import suppress
from typing import Final

from gtunnel.values import dataclass

HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
RECORD_HEADER: Final = 5
# RFC 8446, section 5.1, and room for what older versions added.
MAX_RECORD: Final = 16384 + 2048
# What OpenSSL takes at most (SSL3_RT_MAX_PLAIN_LENGTH plus a certificate's worth; ssl_local.h).
MAX_HELLO: Final = 131396
# What OpenSSL takes at most (TLSEXT_MAXLEN_host_name); what is longer is no name for a log.
MAX_NAME: Final = 255
# A message in tiny records takes many times its size; OpenSSL may go on with it.
MAX_RECEIVED: Final = 2 * MAX_HELLO

TLS1_2: Final = 0x0303
TLS1_3: Final = 0x0304

# Its number, and the length of what follows.
_EXTENSION: Final = struct.Struct("!HH")

_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_GROUPS: Final = 10
_SIGNATURES: Final = 13
_TICKET: Final = 35
_PRE_SHARED_KEY: Final = 41
_VERSIONS: Final = 43


class NotAHelloError(ValueError):
    """Bytes that are no ClientHello. OpenSSL says what is wrong with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """What a client offers. Numbers are the protocol's own (IANA's registries).

    `versions` are those of the extension, or else the one in the header, which means all up to it. `ticket` is a TLS
    1.2 session ticket (None: the client takes none); `identities` are TLS 1.3's pre-shared keys, tickets among them.
    """

    version: int
    versions: tuple[int, ...]
    server_name: str | None
    session_id: bytes
    ticket: bytes | None
    identities: tuple[bytes, ...]
    ciphers: tuple[int, ...]
    groups: tuple[int, ...]
    signatures: tuple[int, ...]

    @property
    def newest(self) -> int:
        """The newest version that the client speaks."""
        return max((version for version in self.versions if not _is_grease(version)), default=self.version)


class HelloReader:
    """Collects records until the ClientHello is whole. Reading it (`hello`) is left to whoever needs to."""

    __slots__ = ("_hello", "_message", "_received", "_used")

    def __init__(self) -> None:
        self._received = bytearray()
        self._message = bytearray()
        self._used = 0
        self._hello: ClientHello | None = None

    @property
    def received(self) -> bytes:
        """All bytes that came, for OpenSSL."""
        return bytes(self._received)

    def hello(self) -> ClientHello | None:
        """The ClientHello; None if it has not come whole, or is none."""
        if self._hello is None:
            with suppress(NotAHelloError):
                self._hello = parse(bytes(self._message[4:])) if self._is_whole() else None
        return self._hello

    def feed(self, data: memoryview | bytes) -> bool:
        """Take more; True once the ClientHello is whole. Raises `NotAHelloError` as soon as it is none."""
        self._received += data
        if len(self._received) > MAX_RECEIVED:
            raise NotAHelloError
        while True:
            rest = len(self._received) - self._used
            if rest < RECORD_HEADER:
                self._look_at_type()
                return False
            kind, version, length = struct.unpack_from("!BHH", self._received, self._used)
            if kind != HANDSHAKE or version >> 8 != 3 or not 0 < length <= MAX_RECORD:
                raise NotAHelloError
            if rest < RECORD_HEADER + length:
                return False
            start = self._used + RECORD_HEADER
            self._message += self._received[start : start + length]
            self._used = start + length
            if self._is_whole():
                return True

    def _look_at_type(self) -> None:
        # Silence after one wrong byte is not worth waiting for.
        if len(self._received) > self._used and self._received[self._used] != HANDSHAKE:
            raise NotAHelloError

    def _is_whole(self) -> bool:
        message = self._message
        if message and message[0] != CLIENT_HELLO:
            raise NotAHelloError
        if len(message) < 4:
            return False
        length = int.from_bytes(message[1:4])
        if length > MAX_HELLO:
            raise NotAHelloError
        return len(message) >= 4 + length


def parse(body: bytes) -> ClientHello:
    """Read the body of a ClientHello message. Raises `NotAHelloError`."""
    try:
        return _parse(_Reader(body))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise NotAHelloError from error


class _Reader:
    """Takes vectors off the front of some bytes."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise IndexError
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def vector(self, size: int) -> bytes:
        """What a length of `size` bytes introduces."""
        return self.take(self.number(size))


def _parse(body: _Reader) -> ClientHello:
    version = body.number(2)
    body.take(32)
    session_id = body.vector(1)
    ciphers = _numbers(body.vector(2))
    body.vector(1)
    extensions = _extensions(body.vector(2)) if body else {}
    versions = extensions.get(_VERSIONS)
    return ClientHello(
        version=version,
        versions=(version,) if versions is None else _numbers(_Reader(versions).vector(1)),
        server_name=_server_name(extensions.get(_SERVER_NAME)),
        session_id=session_id,
        ticket=extensions.get(_TICKET),
        identities=_identities(extensions.get(_PRE_SHARED_KEY)),
        ciphers=ciphers,
        groups=_listed(extensions.get(_GROUPS)),
        signatures=_listed(extensions.get(_SIGNATURES)),
    )


def _extensions(data: bytes) -> dict[int, bytes]:
    # A dozen in each hello, so without a `_Reader`.
    found: dict[int, bytes] = {}
    at, size = 0, len(data)
    while at < size:
        kind, length = _EXTENSION.unpack_from(data, at)
        start = at + _EXTENSION.size
        at = start + length
        if at > size:
            raise IndexError
        found.setdefault(kind, data[start:at])
    return found


def _server_name(data: bytes | None) -> str | None:
    # RFC 6066, section 3: a list, in which only one kind of name was ever defined.
    reader = _Reader(b"" if data is None else _Reader(data).vector(2))
    while reader:
        kind = reader.number(1)
        name = reader.vector(2)
        if len(name) > MAX_NAME:
            raise NotAHelloError
        if kind == _HOST_NAME and name and 0 not in name:
            return name.decode("ascii")
    return None


def _identities(data: bytes | None) -> tuple[bytes, ...]:
    reader = _Reader(b"" if data is None else _Reader(data).vector(2))
    found = []
    while reader:
        found.append(reader.vector(2))
        reader.number(4)
    return tuple(found)


def _listed(data: bytes | None) -> tuple[int, ...]:
    return () if data is None else _numbers(_Reader(data).vector(2))


def _numbers(data: bytes) -> tuple[int, ...]:
    return struct.unpack(f"!{len(data) // 2}H", data)


def _is_grease(number: int) -> bool:
    # RFC 8701: values that nobody speaks, to keep servers used to them.
    return number & 0x0F0F == 0x0A0A
