"""The header before each datagram of SOCKS' UDP ASSOCIATE (RFC 1928, section 7)."""

import ipaddress
from typing import Final

from gtunnel.address import HostPort, SocketAddress
from gtunnel.values import dataclass
from gtunnel.wire.sockswords import RequestError, host_of

_IPV4, _NAME, _IPV6 = 1, 3, 4
_SIZES: Final = {_IPV4: 4, _IPV6: 16}


@dataclass(frozen=True, slots=True)
class Datagram:
    """Whom it is for, and what."""

    target: HostPort
    payload: bytes


def unpack(data: bytes) -> Datagram | None:
    """Read a client's datagram; None for what is none, and for fragments, which nobody has to put together."""
    if len(data) < 5 or data[:3] != b"\0\0\0":
        return None
    kind, size, start = data[3], _SIZES.get(data[3], 0), 4
    if kind == _NAME:
        size, start = data[4], 5
    end = start + size
    if not size or len(data) < end + 2:
        return None
    try:
        host = host_of(data[start:end]) if kind == _NAME else str(ipaddress.ip_address(data[start:end]))
    except RequestError:
        return None
    return Datagram(HostPort(host, int.from_bytes(data[end : end + 2], "big")), data[end + 2 :])


def pack(source: SocketAddress, payload: bytes) -> bytes:
    """A target's datagram, as the client gets it."""
    host = ipaddress.ip_address(source.host).packed
    kind = _IPV4 if len(host) == _SIZES[_IPV4] else _IPV6
    return bytes((0, 0, 0, kind)) + host + source.port.to_bytes(2, "big") + payload
