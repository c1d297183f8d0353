"""The PROXY protocol's headers (HAProxy's proxy-protocol.txt): who the client of a connection really is.

Version 1 is a line, version 2 is binary and may say more (type, length, value). Both are written and read here. Whoever
reads them believes what they say: from whom that is done is the configuration's to say (`acceptProxy`).
"""

import ipaddress
import struct
from collections.abc import Generator, Iterator
from typing import Final

from gtunnel.address import SocketAddress, from_sockaddr, parse_port
from gtunnel.errors import AddressError
from gtunnel.values import dataclass
from gtunnel.wire.crc32c import crc32c
from gtunnel.wire.errors import ProtocolError
from gtunnel.wire.steps import Receive, ReceiveLine, Side, Step, TlsFacts

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
# Section 2.1: the longest line of version 1, its end included.
MAX_LINE: Final = 107
# Version 2's length has 16 bits. Real ones with certificates' names have some hundred bytes.
MAX_BINARY: Final = 4096
# Names of certificates that are longer are left out: X.520 ends them at 64 characters.
MAX_VALUE: Final = 1024
_OLD: Final = b"PROXY "

_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21
_ADDRESS_BYTES: Final = {_TCP4: 4, _TCP6: 16}
_AUTHORITY, _CRC32C, _SSL = 0x02, 0x03, 0x20
_SSL_VERSION, _SSL_CN, _SSL_CIPHER, _SSL_SIG_ALG, _SSL_KEY_ALG = 0x21, 0x22, 0x23, 0x24, 0x25
_CLIENT_SSL, _CLIENT_CERT_CONN, _CLIENT_CERT_SESS = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Ends:
    """The two ends of a connection, as its client sees it."""

    client: SocketAddress
    reached: SocketAddress


def version1(ends: Ends | None) -> bytes:
    """The line that people can read. What is not TCP, or not of one family, is UNKNOWN."""
    if ends is None:
        return b"PROXY UNKNOWN\r\n"
    client, reached = ends.client, ends.reached
    family = "TCP6" if ":" in client.host else "TCP4"
    return f"PROXY {family} {client.host} {reached.host} {client.port} {reached.port}\r\n".encode("ascii")


def version2(ends: Ends | None, facts: TlsFacts | None) -> bytes:
    """The binary header, with what is known of TLS, and a checksum."""
    family, addresses = _UNSPECIFIED, b""
    if ends is not None:
        pair = [ipaddress.ip_address(end.host).packed for end in (ends.client, ends.reached)]
        family = _TCP4 if len(pair[0]) == _ADDRESS_BYTES[_TCP4] else _TCP6
        addresses = b"".join(pair) + struct.pack("!HH", ends.client.port, ends.reached.port)
    told = b"" if facts is None else _tls_values(facts)
    size = len(addresses) + len(told) + 7
    head = SIGNATURE + struct.pack("!BBH", _PROXY, family, size) + addresses + told
    checksum = crc32c(head + _value(_CRC32C, bytes(4)))
    return head + _value(_CRC32C, struct.pack("!I", checksum))


def _tls_values(facts: TlsFacts) -> bytes:
    told = b"" if not facts.server_name else _value(_AUTHORITY, facts.server_name.encode())
    flags = _CLIENT_SSL
    if facts.certificate:
        flags |= _CLIENT_CERT_SESS | (0 if facts.resumed else _CLIENT_CERT_CONN)
    pairs = (
        (_SSL_VERSION, facts.version),
        (_SSL_CN, facts.common_name),
        (_SSL_CIPHER, facts.cipher),
        (_SSL_SIG_ALG, facts.signature),
        (_SSL_KEY_ALG, facts.key),
    )
    values = [(kind, text.encode()) for kind, text in pairs]
    # The name is the client's to choose; a target that gets a header beyond its buffer ends the connection.
    inner = b"".join(_value(kind, value) for kind, value in values if 0 < len(value) <= MAX_VALUE)
    return told + _value(_SSL, struct.pack("!BI", flags, 0 if facts.verified else 1) + inner)


def _value(kind: int, content: bytes) -> bytes:
    return struct.pack("!BH", kind, len(content)) + content


def read() -> Generator[Step, bytes, Ends | None]:
    """Read a header of either version; None where it names nobody (LOCAL, UNKNOWN). Raises `ProtocolError`."""
    start = yield Receive(Side.CLIENT, len(SIGNATURE))
    if start == SIGNATURE:
        return (yield from _read_binary())
    if start.startswith(_OLD):
        rest = yield ReceiveLine(Side.CLIENT, limit=MAX_LINE - len(start))
        return _parse_line(start + rest)
    raise _problem("there is none")


def _parse_line(line: bytes) -> Ends | None:
    words = line.removesuffix(b"\r").decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return None
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"}:
        raise _problem("its line is not understood")
    _, family, client, reached, *ports = words
    version = 4 if family == "TCP4" else 6
    try:
        hosts = [ipaddress.ip_address(host) for host in (client, reached)]
        numbers = [parse_port(port, port) if port.isascii() and port.isdigit() else -1 for port in ports]
    except (ValueError, AddressError) as error:
        raise _problem("its addresses are none") from error
    if any(host.version != version or "%" in str(host) for host in hosts) or min(numbers) < 0:
        raise _problem("its addresses are none")
    return _ends((str(hosts[0]), numbers[0]), (str(hosts[1]), numbers[1]))


def _read_binary() -> Generator[Step, bytes, Ends | None]:
    head = yield Receive(Side.CLIENT, 4)
    command, family, size = struct.unpack("!BBH", head)
    if command not in {_LOCAL, _PROXY}:
        raise _problem(f"its version or command 0x{command:02x} is not known")
    if size > MAX_BINARY:
        raise _problem(f"it is longer than {MAX_BINARY} bytes")
    body = (yield Receive(Side.CLIENT, size)) if size else b""
    width = _ADDRESS_BYTES.get(family)
    if command == _LOCAL or width is None:
        # UDP and Unix sockets are somebody's, but no client of ours can be one of them.
        return None
    start = 2 * width + 4
    if len(body) < start:
        raise _problem("it is too short for its addresses")
    _check(SIGNATURE + head + body, len(SIGNATURE) + len(head) + start)
    hosts = [str(ipaddress.ip_address(body[place : place + width])) for place in (0, width)]
    ports = struct.unpack_from("!HH", body, 2 * width)
    return _ends((hosts[0], ports[0]), (hosts[1], ports[1]))


def _check(header: bytes, start: int) -> None:
    """Verify the checksum, if there is one, and that the values end where the header does."""
    for kind, place, content in _values(header, start):
        if kind == _CRC32C:
            zeroed = header[:place] + bytes(len(content)) + header[place + len(content) :]
            if len(content) != 4 or struct.pack("!I", crc32c(zeroed)) != content:
                raise _problem("its checksum is wrong")


def _values(header: bytes, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Type, place and content of each."""
    while start < len(header):
        if len(header) < start + 3:
            raise _problem("it is cut short")
        kind, size = struct.unpack_from("!BH", header, start)
        content = header[start + 3 : start + 3 + size]
        if len(content) < size:
            raise _problem("it is cut short")
        yield kind, start + 3, content
        start += 3 + size


def _ends(client: tuple[str, int], reached: tuple[str, int]) -> Ends | None:
    # An IPv4 address in IPv6's clothes is an IPv4 address, as everywhere.
    one, other = from_sockaddr(client), from_sockaddr(reached)
    return None if one is None or other is None else Ends(one, other)


def _problem(reason: str) -> ProtocolError:
    return ProtocolError(protocol="PROXY header", reason=reason)
