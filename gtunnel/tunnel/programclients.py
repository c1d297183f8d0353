"""Services whose client is a program (exec and connect, without accept): it is started once, and with `retry` again.

Each of them belongs to one worker, the first to ask; where that one dies, the worker that takes its place goes on.
"""

from collections.abc import Iterable

import gevent

from gtunnel.events import Level
from gtunnel.tunnel.connection import Connection
from gtunnel.tunnel.service import Service
from gtunnel.tunnel.workplace import Workplace


class ProgramClients:
    """Those of one worker."""

    def __init__(self, services: Iterable[Service], workplace: Workplace) -> None:
        self._services = [service for service in services if service.turn is not None]
        self._workplace = workplace
        self._greenlets: set[gevent.Greenlet[..., None]] = set()
        self._open = True

    def start(self) -> None:
        """Start the programs of those services that no other worker has."""
        for service in self._services:
            if service.turn is not None and service.turn.take():
                service.log.write(Level.DEBUG, f"Starting exec+connect service [{service.name}]")
                greenlet = gevent.spawn(self._serve, service)
                self._greenlets.add(greenlet)
                greenlet.rawlink(self._greenlets.discard)

    def stop(self) -> None:
        """End all connections now, and start no program again.

        Also when the configuration is replaced: as in stunnel, the next one's program takes over from this one's.
        """
        self._open = False
        gevent.killall(list(self._greenlets), block=False)

    def drained(self) -> bool:
        """Whether all connections have ended."""
        return not self._greenlets

    def _serve(self, service: Service) -> None:
        program = service.settings.program
        retry = None if program is None else program.retry
        while True:
            Connection(service, None, self._workplace).serve()
            if retry is None or not self._open:
                return
            service.log.write(Level.INFO, "Retrying an exec+connect section")
            gevent.sleep(retry)
            if not self._open:
                return
