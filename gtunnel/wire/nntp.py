"""NNTP's STARTTLS (RFC 4642), for clients that have none."""

import re

from gtunnel.conf.settings import ProtocolSettings
from gtunnel.wire.errors import ProtocolError, quoted
from gtunnel.wire.starttls import MAX_LINE, Lines, receive_line, telling_client
from gtunnel.wire.steps import Connect, Negotiation, ReceiveLine, Scene, Send, Side, StartTls

NAME = "nntp"
GOODBYE = b"400 Service not available, try again later\r\n"


def client(_settings: ProtocolSettings, _scene: Scene) -> Negotiation:
    """Client mode: the client gets the greeting (posting allowed, or not) once TLS is there."""
    yield from telling_client(GOODBYE, _secure())


def _secure() -> Lines:
    yield Connect()
    greeting = yield ReceiveLine(Side.TARGET, MAX_LINE)
    if re.match(rb"20[01](?: |$)", greeting) is None:
        raise ProtocolError(protocol=NAME, reason=f"it does not greet: the server said {quoted(greeting)}")
    yield Send(Side.TARGET, b"STARTTLS\r\n")
    yield from receive_line(NAME, b"382", "it refused STARTTLS")
    yield StartTls()
    yield Send(Side.CLIENT, greeting + b"\r\n")
    return b""
