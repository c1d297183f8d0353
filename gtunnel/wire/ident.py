"""The Identification Protocol (RFC 1413): a question of one line, an answer of one line."""

from gtunnel.address import SocketAddress
from gtunnel.wire.errors import ProtocolError

PORT = 113
# The longest answer that RFC 1413 allows: 512 octets of a name, and the rest of the line.
MAX_ANSWER = 1000


class IdentError(ProtocolError):
    """The client's machine does not say who it is. The wording is stunnel's."""

    template = "{reason}"


def question(client: SocketAddress, listener: SocketAddress) -> bytes:
    """The question about a connection, as the server sees it."""
    return f"{client.port} , {listener.port}\r\n".encode()


def user(answer: bytes, client: SocketAddress, listener: SocketAddress) -> str:
    """The user that an answer names. Raises `IdentError`."""
    ports, colon, rest = answer.decode("latin-1").partition(":")
    kind, second, rest = rest.partition(":")
    if not colon or not second:
        raise IdentError(reason=f"Malformed IDENT response about {client}")
    if kind.strip() != "USERID":
        raise IdentError(reason=f"Incorrect IDENT response type about {client}: {kind.strip()} {rest.strip()}")
    if [part.strip() for part in ports.split(",")] != [str(client.port), str(listener.port)]:
        raise IdentError(reason=f"The IDENT response about {client} is about another connection")
    _system, third, name = rest.partition(":")
    if not third:
        raise IdentError(reason=f"Malformed IDENT response about {client}")
    return name.strip()
