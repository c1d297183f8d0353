"""Where a worker finds the sessions of servers' clients: in what all workers share, or on a server for many machines.

Clients of such servers use gevent, so they are made here and not with the service.
"""

from gtunnel.address import HostPort
from gtunnel.conf.settings import SessionServer, SessionServerKind
from gtunnel.net.sessiond import Sessiond
from gtunnel.tunnel.resumption import ServerResumption, SessionStore
from gtunnel.tunnel.service import Service

# Enough of a digest to keep the sessions of services apart on a server.
_SPACE_BYTES = 8


class SessionServers:
    """One for each worker. Services are told apart by their objects: each generation has its own."""

    def __init__(self) -> None:
        self._resumptions: dict[int, ServerResumption | None] = {}

    def of(self, service: Service) -> ServerResumption | None:
        """How a service's clients resume sessions that have an id; None if they do not."""
        try:
            return self._resumptions[id(service)]
        except KeyError:
            store = _store(service) if service.tls.sessions.enabled else None
            seconds = service.settings.sessions.seconds
            resumption = None if store is None else ServerResumption(service.tls, store, seconds)
            return self._resumptions.setdefault(id(service), resumption)


def _store(service: Service) -> SessionStore | None:
    server = service.settings.sessions.server
    return service.server_sessions if server is None else _client(server, service)


def _client(server: SessionServer, service: Service) -> SessionStore:
    if server.kind is SessionServerKind.SESSIOND:
        return Sessiond(HostPort(server.host, server.port), service.outgoing.mark)
    # Not at the top: in inetd mode each connection would wait for loading it (`daemon.worker` does so at once).
    from gtunnel.net.redisstore import RedisStore

    return RedisStore(server, service.tls.sessions.good_for[:_SPACE_BYTES])
