"""What all versions of SOCKS say: requests, and answers to them."""

import enum
from collections.abc import Generator
from typing import Protocol

from gtunnel.address import HostPort, SocketAddress
from gtunnel.errors import GtunnelError
from gtunnel.values import dataclass
from gtunnel.wire.steps import Step


class Command(enum.Enum):
    """What a client wants (RFC 1928, section 4)."""

    CONNECT = 1
    BIND = 2
    ASSOCIATE = 3
    # An extension of Tor's: what is the address of this name?
    RESOLVE = 0xF0


@dataclass(frozen=True, slots=True)
class Request:
    """Who is to be reached, and how. The host may be a name, or a literal."""

    command: Command
    target: HostPort


class RequestError(GtunnelError):
    """A request that cannot be granted. The client is told."""

    template = "socks: {reason}"


class UnsupportedError(RequestError):
    """A command that does not work here."""

    template = "socks: Unsupported SOCKS command 0x{command:02x}"


class AddressTypeError(RequestError):
    """An address of a kind that is not known."""

    template = "socks: Unsupported SOCKS5 address type 0x{kind:02x}"


class RefusedTargetError(RequestError):
    """A target that clients must not reach."""

    template = "socks: SOCKS connection to {target} rejected: {reason}"


def command_of(code: int) -> Command:
    """The command. Raises `UnsupportedError`."""
    try:
        return Command(code)
    except ValueError:
        raise UnsupportedError(command=code) from None


class Dialect(Protocol):
    """How a version asks and answers."""

    def read_request(self) -> Generator[Step, bytes, Request]:
        """What stands behind the version's first byte, and what that needs before. Raises `RequestError`."""

    def success(self, bound: SocketAddress | None) -> bytes:
        """It was done; `bound` is our address towards the target."""

    def refusal(self, error: GtunnelError) -> bytes:
        """It could not be done."""


def host_of(name: bytes) -> str:
    """A name as it came, fit for a resolver. Raises `RequestError`."""
    if not name:
        raise RequestError(reason="the host name is empty")
    try:
        text = name.decode("ascii")
    except UnicodeDecodeError:
        try:
            text = name.decode("utf-8").encode("idna").decode("ascii")
        except UnicodeError as error:
            raise RequestError(reason=f"{name!r} is not a host name") from error
    if any(not character.isprintable() or character.isspace() for character in text):
        raise RequestError(reason=f"{name!r} is not a host name")
    return text
