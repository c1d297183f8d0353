"""The live connections of a worker, counted; and the oldest of them one by one. Values are fit for JSON.

A worker may have tens of thousands: what goes out of it is bounded by the number of services and by the limits here.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Final

from gtunnel.tunnel import particulars

if TYPE_CHECKING:
    from gtunnel.tunnel.connection import Connection

# Clients that are told of by their names, of each worker. Whoever has many connections is among them.
MAX_CLIENTS: Final = 1000
# Connections that are told of one by one.
MAX_LISTED: Final = 1000
# Others get their turn after so many: some milliseconds.
BURST: Final = 50


def counts(connections: Collection["Connection"], accepted: int) -> dict[str, Any]:
    """How many there are and were, by service and by client. `clients` is the number of different ones."""
    services = Counter(connection.service.name for connection in connections)
    clients = Counter(_host(connection) for connection in connections)
    return {
        "connections": len(connections),
        "accepted": accepted,
        "services": dict(services),
        "clients": len(clients),
        "by_client": clients.most_common(MAX_CLIENTS),
    }


def details(connections: Collection["Connection"], rest: Callable[[], object]) -> list[dict[str, Any]]:
    """The oldest `MAX_LISTED`, oldest first. `rest` lets others have their turn."""
    oldest = heapq.nsmallest(MAX_LISTED, connections, key=lambda connection: connection.started)
    found = []
    for number, connection in enumerate(oldest, 1):
        if connection in connections:
            found.append(_detail(connection))
        if number % BURST == 0:
            rest()
    return found


def _detail(connection: "Connection") -> dict[str, Any]:
    of = particulars.of(connection)
    return {
        "id": of.identifier,
        "service": of.service,
        "client": of.client,
        "destination": of.destination,
        "target": of.target,
        "tls": of.tls,
        "cipher": of.cipher,
        "sni": of.sni,
        "peer": of.subject,
        "to_target": of.to_target,
        "to_client": of.to_client,
        "age": round(of.seconds, 3),
    }


def _host(connection: "Connection") -> str:
    if connection.sides.accepted is None:
        return "exec"
    return particulars.UNIX if connection.client is None else connection.client.host
