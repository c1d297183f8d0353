"""The steps that a protocol asks for. A negotiation is a generator of them; one loop that owns the sockets drives it.

A protocol owns the order of a connection: whether TLS starts before or after the target is connected is the order in
which it yields. After its last step the relay begins.
"""

from collections.abc import Generator
from dataclasses import dataclass

from gtunnel.address import Endpoint


@dataclass(frozen=True, slots=True)
class StartTls:
    """Shake hands on the TLS leg: the accepted one of a server, the outgoing one of a client."""


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect the outgoing leg: to `target`, or where the service's configuration and transparency say (None)."""

    target: Endpoint | None = None


Step = StartTls | Connect
Negotiation = Generator[Step, None, None]
