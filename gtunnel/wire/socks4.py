"""SOCKS 4 and 4a: a server's side. A name comes instead of an address where that is 0.0.0.x."""

from collections.abc import Generator
from ipaddress import IPv4Address
from typing import Final

from gtunnel.address import HostPort, SocketAddress
from gtunnel.errors import GtunnelError
from gtunnel.wire.sockswords import Command, Request, UnsupportedError, command_of, host_of
from gtunnel.wire.steps import Receive, ReceiveLine, Side, Step

VERSION: Final = b"\x04"
GRANTED: Final = 90
REJECTED: Final = 91
# A user id and a name; the protocol has no limit of its own, names do (RFC 1035).
MAX_TEXT: Final = 256


class Socks4:
    """Both of them."""

    def read_request(self) -> Generator[Step, bytes, Request]:
        """See `Dialect`. The user id is not looked at (manual)."""
        head = yield Receive(Side.CLIENT, 7)
        yield ReceiveLine(Side.CLIENT, limit=MAX_TEXT, end=b"\0")
        host = str(IPv4Address(head[3:]))
        if head[3:6] == b"\0\0\0" and head[6]:
            host = host_of((yield ReceiveLine(Side.CLIENT, limit=MAX_TEXT, end=b"\0")))
        if head[0] > Command.BIND.value:
            raise UnsupportedError(command=head[0])
        return Request(command_of(head[0]), HostPort(host, int.from_bytes(head[1:3], "big")))

    def success(self, bound: SocketAddress | None) -> bytes:
        """See `Dialect`."""
        address, port = IPv4Address(0), 0
        if bound is not None:
            port = bound.port
            if ":" not in bound.host:
                address = IPv4Address(bound.host)
        return _answer(GRANTED, address, port)

    def refusal(self, error: GtunnelError) -> bytes:  # noqa: ARG002 - there is one answer to all that goes wrong
        """See `Dialect`."""
        return _answer(REJECTED, IPv4Address(0), 0)


DIALECT: Final = Socks4()


def _answer(code: int, address: IPv4Address, port: int) -> bytes:
    return b"\0" + bytes((code,)) + port.to_bytes(2, "big") + address.packed
