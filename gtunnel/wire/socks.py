"""SOCKS inside TLS (manual, option protocol): what the versions have in common, and both roles.

The request comes under TLS, so nobody on the way learns the target. A request is answered when it is known what came
of it: clients learn why they could not be connected.
"""

from collections.abc import Generator
from functools import partial
from typing import Final

from gtunnel.address import HostPort, SocketAddress, from_sockaddr
from gtunnel.conf.settings import ProtocolSettings
from gtunnel.errors import ReachError
from gtunnel.wire import socks4, socks5
from gtunnel.wire.errors import MessageError, ProtocolError
from gtunnel.wire.sockstargets import admitted
from gtunnel.wire.sockswords import Command, Dialect, Request, RequestError, UnsupportedError
from gtunnel.wire.steps import (
    Associate,
    Connect,
    Listen,
    Meet,
    Negotiation,
    Receive,
    Resolve,
    Scene,
    Send,
    Side,
    StartTls,
    Step,
)

DIALECTS: Final[dict[bytes, Dialect]] = {socks4.VERSION: socks4.DIALECT, socks5.VERSION: socks5.DIALECT}


def server(settings: ProtocolSettings, scene: Scene) -> Negotiation:
    """Server mode: TLS, then the client says whom it wants to reach."""
    yield StartTls()
    if scene.redirected:
        # A client that does not convince has no wish.
        yield Connect()
        return
    version = yield Receive(Side.CLIENT, 1)
    dialect = DIALECTS.get(version)
    if dialect is None:
        raise ProtocolError(protocol="socks", reason=f"Unsupported SOCKS version 0x{version[0]:02x}")
    if version == socks5.VERSION:
        yield from socks5.offer(settings)
    try:
        if version == socks4.VERSION and settings.socks.users is not None:
            raise RequestError(reason="SOCKS 4 has no passwords, and socksUsers asks for them")  # noqa: TRY301 - is answered
        request = yield from dialect.read_request()
        yield from _do(request, settings, scene, dialect)
    except (RequestError, MessageError, ReachError) as error:
        yield Send(Side.CLIENT, dialect.refusal(error), binary=True, farewell=True)
        raise


def _do(request: Request, settings: ProtocolSettings, scene: Scene, dialect: Dialect) -> Negotiation:
    """What the client wants."""
    command, options = request.command, settings.socks
    if command is Command.CONNECT:
        yield Connect(addresses=(yield from _addresses(request, settings, scene)))
        yield Send(Side.CLIENT, dialect.success(scene.bound), binary=True)
    elif command is Command.BIND and options.bind is not None:
        yield from _bind(request, settings, scene, dialect)
    elif command is Command.ASSOCIATE and options.udp is not None and scene.client is not None:
        yield Associate(options.udp, partial(admitted, rules=options.targets))
        yield Send(Side.CLIENT, dialect.success(scene.bound), binary=True)
    elif command is Command.RESOLVE:
        addresses = yield from _addresses(request, settings, scene)
        answer = dialect.success(addresses[0].with_port(0))
        yield Send(Side.CLIENT, answer, binary=True, farewell=True)
    else:
        raise UnsupportedError(command=command.value)


def _bind(request: Request, settings: ProtocolSettings, scene: Scene, dialect: Dialect) -> Negotiation:
    """Two answers: where we listen, and who came. Only whom the client has named may come."""
    hosts = yield from _addresses(request, settings, scene)
    yield Listen(settings.socks.bind or "")
    yield Send(Side.CLIENT, dialect.success(scene.bound), binary=True)
    yield Meet(tuple(address.host for address in hosts))
    yield Send(Side.CLIENT, dialect.success(scene.peer), binary=True)


def _addresses(
    request: Request, settings: ProtocolSettings, scene: Scene
) -> Generator[Step, bytes, tuple[SocketAddress, ...]]:
    """The target's addresses that may be connected to. Raises `RefusedTargetError` if there is none."""
    connects = request.command is Command.CONNECT
    # A port that is not connected to must not make rules match that are about connecting to it.
    target = request.target if connects else HostPort(request.target.host, 0)
    literal = target.literal
    if literal is None:
        yield Resolve(target)
        found = scene.resolved
    else:
        # An IPv4 address in IPv6's clothes is an IPv4 address.
        plain = from_sockaddr(literal.sockaddr)
        found = () if plain is None else (plain,)
    return admitted(target, found, settings.socks.targets, any_port=not connects)


def client(settings: ProtocolSettings, scene: Scene) -> Negotiation:
    """Client mode: the TLS peer is a SOCKS server, which is asked for `protocolHost`, or where the connection was going
    before the firewall sent it here."""
    yield Connect()
    yield StartTls()
    yield from socks5.ask(settings, scene)
