"""Which addresses a connection tries, and in which order (manual, options connect, delay and failover)."""

from collections.abc import Callable, Iterable, Iterator

from gtunnel.address import Endpoint, HostPort
from gtunnel.conf.settings import ConnectSettings, Failover
from gtunnel.events import Level, Log
from gtunnel.net import names
from gtunnel.net.errors import ResolveError
from gtunnel.net.names import Address, Target

Lookup = Callable[[Endpoint], tuple[Address, ...]]


class Targets:
    """A service's `connect` lines. Names are looked up once, when the service is compiled; with `delay = yes`, or where
    that failed, for each connection, and then in the order written (the manual: "delayed resolver inflicts prio").
    """

    def __init__(self, settings: ConnectSettings, turn: Callable[[], int], log: Log) -> None:
        """`turn` gives consecutive numbers, shared by all workers."""
        self._endpoints = settings.targets
        self._turn = turn
        self._round_robin = settings.failover is Failover.RR
        self._resolved = None if settings.delay else _resolve_all(settings.targets, log)

    def candidates(self, lookup: Lookup, log: Log) -> Iterable[Target]:
        """The targets of one connection, in the order to try. `lookup` is asked for delayed names only, and for each
        when it is its turn."""
        if self._resolved is None:
            return _looked_up(self._endpoints, lookup, log)
        count = len(self._resolved)
        if count < 2:
            return self._resolved
        first = self._turn() % count if self._round_robin else 0
        kind = "round-robin" if self._round_robin else "priority"
        log.write(Level.INFO, f"failover: {kind}, starting at entry #{first}")
        return self._resolved[first:] + self._resolved[:first]

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts as configured, for messages."""
        return tuple(str(endpoint) for endpoint in self._endpoints)


def _resolve_all(endpoints: tuple[Endpoint, ...], log: Log) -> tuple[Target, ...] | None:
    targets: list[Target] = []
    for endpoint in endpoints:
        try:
            found = names.lookup(endpoint, default_host=names.LOOPBACK)
        except ResolveError as error:
            log.write(Level.WARNING, f"{error}: the lookup is delayed until a connection needs it")
            return None
        targets.extend(Target(address, _host(endpoint)) for address in found)
    return tuple(targets)


def _looked_up(endpoints: tuple[Endpoint, ...], lookup: Lookup, log: Log) -> Iterator[Target]:
    for endpoint in endpoints:
        try:
            found = lookup(endpoint)
        except ResolveError as error:
            log.write(Level.ERR, str(error))
            continue
        for address in found:
            yield Target(address, _host(endpoint))


def _host(endpoint: Endpoint) -> str | None:
    return endpoint.host or None if isinstance(endpoint, HostPort) else None
