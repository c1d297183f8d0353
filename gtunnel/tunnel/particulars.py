"""What is to be told of one connection, to the access log and to whoever asks for the live ones."""

from time import monotonic
from typing import TYPE_CHECKING

from gtunnel.address import Endpoint, SocketAddress
from gtunnel.values import dataclass

if TYPE_CHECKING:
    from gtunnel.tunnel.connection import Connection

UNIX = "unix"
PROGRAM = "exec:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """As texts, None for what there is not (yet). Ports stand behind a colon, IPv6 addresses in brackets.

    `client`: an address, "unix" for a Unix socket, "exec:PATH" for a program. `destination` is the original one, of a
    transparent connection; `target` where it was connected to: an address, the path of a Unix socket, "exec:PATH", or
    "udp" for the datagrams of SOCKS. `sni` is what the client asked for, or what we asked for as a client; `subject`
    the peer's, where its certificate was verified. Bytes are those of the relay, in plaintext; `seconds` since accept.
    """

    identifier: str
    service: str
    client: str
    destination: str | None
    target: str | None
    tls: str | None
    cipher: str | None
    sni: str | None
    subject: str | None
    to_target: int
    to_client: int
    seconds: float


def of(connection: "Connection") -> Particulars:
    """Those of a connection as it is now, or was when it ended."""
    sides, service, engine = connection.sides, connection.service, connection.engine
    relay = connection.relay
    agreed = None if engine is None else engine.negotiated()
    demanding = service.settings.verification.convincing
    verified = demanding and engine is not None and engine.convinces(require=True)
    names = engine.peer_names() if verified and engine is not None else None
    destination = sides.scene.destination
    return Particulars(
        identifier=connection.identifier,
        service=service.name,
        client=_client(connection),
        destination=None if destination is None else shown(destination),
        target=_target(connection),
        tls=None if agreed is None else agreed.version,
        cipher=None if agreed is None else agreed.cipher,
        sni=connection.server_name,
        subject=None if names is None else names[0],
        to_target=0 if relay is None else relay.forth.count,
        to_client=0 if relay is None else relay.back.count,
        seconds=monotonic() - connection.started,
    )


def shown(address: SocketAddress | Endpoint) -> str:
    """An address as everybody reads it: an IPv6 host in brackets, with the number of its scope if it has one."""
    if not isinstance(address, SocketAddress) or ":" not in address.host:
        return str(address)
    scope = f"%{address.scope}" if address.scope else ""
    return f"[{address.host}{scope}]:{address.port}"


def _client(connection: "Connection") -> str:
    if connection.sides.accepted is None:
        return _program(connection)
    return UNIX if connection.client is None else shown(connection.client)


def _target(connection: "Connection") -> str | None:
    sides = connection.sides
    if sides.dialled is not None:
        return shown(sides.dialled.target.address)
    if sides.scene.peer is not None:
        return shown(sides.scene.peer)
    if sides.datagrams is not None:
        return "udp"
    started = sides.program is not None and sides.accepted is not None
    return _program(connection) if started else None


def _program(connection: "Connection") -> str:
    launch = connection.service.launch
    return PROGRAM + ("" if launch is None else launch.settings.path)
