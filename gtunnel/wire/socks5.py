"""SOCKS 5 (RFC 1928), with user names and passwords (RFC 1929): both sides' messages."""

import errno
from collections.abc import Generator
from ipaddress import ip_address
from typing import Final

from gtunnel.address import HostPort, SocketAddress
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.errors import GtunnelError, ReachError
from gtunnel.wire.errors import AuthenticationError, ProtocolError
from gtunnel.wire.sockswords import (
    AddressTypeError,
    RefusedTargetError,
    Request,
    RequestError,
    UnsupportedError,
    command_of,
    host_of,
)
from gtunnel.wire.steps import Authenticate, Receive, Scene, Send, Side, Step

VERSION: Final = b"\x05"
NO_AUTHENTICATION: Final = 0
PASSWORD: Final = 2
NO_METHOD: Final = 0xFF
_PASSWORD_VERSION: Final = 1

_IPV4, _NAME, _IPV6 = 1, 3, 4
_LITERAL_BYTES: Final = {_IPV4: 4, _IPV6: 16}

SUCCEEDED: Final = 0
FAILED: Final = 1
NOT_ALLOWED: Final = 2
_NO_COMMAND: Final = 7
_NO_ADDRESS_TYPE: Final = 8
# RFC 1928, section 6. What is said where the kernel says this of our connect.
_CODES: Final = {
    errno.ENETUNREACH: 3,
    errno.EHOSTUNREACH: 4,
    errno.ECONNREFUSED: 5,
    # "TTL expired" is the only one that is about time; clients show it as a timeout.
    errno.ETIMEDOUT: 6,
    errno.EACCES: NOT_ALLOWED,
    errno.EPERM: NOT_ALLOWED,
}
REASONS: Final = {
    FAILED: "general failure",
    NOT_ALLOWED: "not allowed",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "timed out",
    _NO_COMMAND: "command not supported",
    _NO_ADDRESS_TYPE: "address type not supported",
}


def offer(settings: ProtocolSettings) -> Generator[Step, bytes, None]:
    """Server: agree on how the client proves itself, and have it do so."""
    (count,) = yield Receive(Side.CLIENT, 1)
    methods = (yield Receive(Side.CLIENT, count)) if count else b""
    wanted = NO_AUTHENTICATION if settings.socks.users is None else PASSWORD
    if wanted not in methods:
        yield Send(Side.CLIENT, VERSION + bytes((NO_METHOD,)), binary=True, farewell=True)
        raise ProtocolError(protocol="socks", reason="No supported SOCKS5 authentication method received")
    yield Send(Side.CLIENT, VERSION + bytes((wanted,)), binary=True)
    if wanted == PASSWORD:
        yield from _prove()


def _prove() -> Generator[Step, bytes, None]:
    """RFC 1929."""
    version, count = yield Receive(Side.CLIENT, 2)
    name = (yield Receive(Side.CLIENT, count)) if count else b""
    (count,) = yield Receive(Side.CLIENT, 1)
    password = (yield Receive(Side.CLIENT, count)) if count else b""
    try:
        if version != _PASSWORD_VERSION:
            reason = f"Unsupported version 0x{version:02x} of the password negotiation"
            raise ProtocolError(protocol="socks", reason=reason)  # noqa: TRY301 - answered as a wrong password is
        yield Authenticate(name, password)
    except (ProtocolError, AuthenticationError):
        yield Send(Side.CLIENT, bytes((_PASSWORD_VERSION, FAILED)), binary=True, farewell=True)
        raise
    yield Send(Side.CLIENT, bytes((_PASSWORD_VERSION, SUCCEEDED)), binary=True)


def _read_host(kind: int) -> Generator[Step, bytes, str]:
    if kind in _LITERAL_BYTES:
        return str(ip_address((yield Receive(Side.CLIENT, _LITERAL_BYTES[kind]))))
    if kind == _NAME:
        (count,) = yield Receive(Side.CLIENT, 1)
        return host_of((yield Receive(Side.CLIENT, count)) if count else b"")
    raise AddressTypeError(kind=kind)


class Socks5:
    """A server's side."""

    def read_request(self) -> Generator[Step, bytes, Request]:
        """See `Dialect`."""
        version, code, _, kind = yield Receive(Side.CLIENT, 4)
        if version != VERSION[0]:
            raise RequestError(reason=f"Unsupported SOCKS version 0x{version:02x} in a request")
        host = yield from _read_host(kind)
        port = int.from_bytes((yield Receive(Side.CLIENT, 2)), "big")
        return Request(command_of(code), HostPort(host, port))

    def success(self, bound: SocketAddress | None) -> bytes:
        """See `Dialect`."""
        return VERSION + bytes((SUCCEEDED, 0)) + _address(bound)

    def refusal(self, error: GtunnelError) -> bytes:
        """See `Dialect`."""
        return VERSION + bytes((_code(error), 0)) + _address(None)


DIALECT: Final = Socks5()


def _code(error: GtunnelError) -> int:
    if isinstance(error, ReachError):
        return _CODES.get(error.number, FAILED)
    if isinstance(error, RefusedTargetError):
        return NOT_ALLOWED
    if isinstance(error, UnsupportedError):
        return _NO_COMMAND
    return _NO_ADDRESS_TYPE if isinstance(error, AddressTypeError) else FAILED


def _address(address: SocketAddress | None) -> bytes:
    if address is None:
        return bytes((_IPV4,)) + bytes(6)
    packed = ip_address(address.host).packed
    kind = _IPV4 if len(packed) == _LITERAL_BYTES[_IPV4] else _IPV6
    return bytes((kind,)) + packed + address.port.to_bytes(2, "big")


def ask(settings: ProtocolSettings, scene: Scene) -> Generator[Step, bytes, None]:
    """Client: ask the server on the target's side for our destination. Raises `ProtocolError`."""
    wanted = _wanted(settings, scene)
    yield from _authenticate(settings)
    yield Send(Side.TARGET, VERSION + b"\x01\x00" + wanted, binary=True)
    version, code, _, kind = yield Receive(Side.TARGET, 4)
    if version != VERSION[0]:
        raise ProtocolError(protocol="socks", reason=f"the server answered with SOCKS version 0x{version:02x}")
    if code != SUCCEEDED:
        reason = REASONS.get(code, "a reason that is not known")
        raise ProtocolError(protocol="socks", reason=f"the server refused the request: {reason} (0x{code:02x})")
    size = _LITERAL_BYTES.get(kind)
    if kind == _NAME:
        (size,) = yield Receive(Side.TARGET, 1)
    if size is None:
        raise AddressTypeError(kind=kind)
    yield Receive(Side.TARGET, size + 2)


def _authenticate(settings: ProtocolSettings) -> Generator[Step, bytes, None]:
    user, password = settings.username, settings.password or ""
    method = NO_AUTHENTICATION if user is None else PASSWORD
    yield Send(Side.TARGET, VERSION + bytes((1, method)), binary=True)
    version, chosen = yield Receive(Side.TARGET, 2)
    if version != VERSION[0]:
        raise ProtocolError(protocol="socks", reason=f"the server answered with SOCKS version 0x{version:02x}")
    if chosen != method:
        need = "it wants another authentication" if user is not None else "set protocolUsername and protocolPassword?"
        raise ProtocolError(protocol="socks", reason=f"the server takes no client like us ({need})")
    if user is None:
        return
    parts = (user.encode(), password.encode())
    message = b"\x01" + b"".join(bytes((len(part),)) + part for part in parts)
    yield Send(Side.TARGET, message, secret=True, binary=True)
    _, status = yield Receive(Side.TARGET, 2)
    if status:
        raise ProtocolError(protocol="socks", reason=f"the server does not take our password (status {status})")


def _wanted(settings: ProtocolSettings, scene: Scene) -> bytes:
    """The destination as a request has it."""
    target = settings.destination
    if target is None:
        if scene.destination is None:
            raise ProtocolError(protocol="socks", reason="nobody said whom the server is to be asked for")
        return _address(scene.destination)
    literal = target.literal
    if literal is not None:
        return _address(literal)
    name = target.host.encode("idna")
    return bytes((_NAME, len(name))) + name + target.port.to_bytes(2, "big")
