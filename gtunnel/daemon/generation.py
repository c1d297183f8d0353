"""A generation: one configuration, compiled, with its listening sockets. A reload builds the next one beside it.

Everything is built before anything is changed, and whatever fails leaves the old generation as it was. Listening
sockets of addresses that both generations want are shared: no connection is lost in between.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable

from gtunnel.address import Endpoint
from gtunnel.conf.settings import Configuration, Foreground, ProcessSettings, ServiceSettings
from gtunnel.daemon.log import Journal, JournalLog
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log
from gtunnel.net import listen, sockopts
from gtunnel.net.errors import ListenError
from gtunnel.net.listen import ListenerSpec, ListeningSocket
from gtunnel.net.loops import LoopGuard
from gtunnel.tls import library
from gtunnel.tls.site import Site
from gtunnel.tunnel.building import Building, compile_service
from gtunnel.tunnel.service import Service, ServiceError, with_virtual_services
from gtunnel.values import dataclass


class GenerationError(GtunnelError):
    """A configuration that cannot be put to work. The reasons were logged."""

    template = "Configuration failed"


@dataclass(frozen=True, slots=True)
class Binding:
    """A listening socket and the service that it feeds."""

    listening: ListeningSocket
    service: Service


@dataclass(frozen=True, slots=True)
class Generation:
    """What a set of workers serves. `number` counts those that were to take over, from 1."""

    configuration: Configuration
    bindings: tuple[Binding, ...]
    services: tuple[Service, ...] = ()
    number: int = 1

    def close_all_but(self, kept: Iterable[ListeningSocket]) -> None:
        """Close the listening sockets that are not in `kept`."""
        numbers = {listening.sock.fileno() for listening in kept}
        for binding in self.bindings:
            if binding.listening.sock.fileno() not in numbers:
                binding.listening.close()

    def let_go_of_all_but(self, kept: Iterable[ListeningSocket]) -> None:
        """Close this process's copies only: what was forked from the owner does, and the files of Unix sockets stay."""
        numbers = {listening.sock.fileno() for listening in kept}
        for listening in self.listening:
            if listening.sock.fileno() not in numbers:
                listening.sock.close()

    @property
    def listening(self) -> tuple[ListeningSocket, ...]:
        """All its listening sockets."""
        return tuple(binding.listening for binding in self.bindings)


def prepare_library(configuration: Configuration, log: Log, *, change: bool = True) -> None:
    """Set OpenSSL up for the process; `change` lets files be written. Raises `GenerationError` after logging why."""
    if change:
        # Engines and providers look there for their own configuration.
        os.environ.update(configuration.environment)
    try:
        library.prepare(configuration.library, log, change=change)
    except library.LibraryError as error:
        log.write(Level.ERR, str(error))
        log.write(Level.ERR, "Configuration failed")
        raise GenerationError from error


def compile_services(
    configuration: Configuration, loops: LoopGuard, journal: Journal, log: Log, site: Site | None = None
) -> tuple[Service, ...]:
    """Compile all services. Raises `GenerationError` after logging every problem."""
    aloud = configuration.output.foreground is Foreground.YES
    building = Building(log, site or Site(), configuration.environment, aloud)
    services: list[Service] = []
    failed = False
    for settings in configuration.services:
        log.write(Level.INFO, f"Initializing service [{settings.name}]")
        problems: list[str] = []
        try:
            _demand_rights(settings, configuration.process)
        except ServiceError as error:
            problems += map(str, error.problems)
        try:
            service_log = JournalLog(journal, settings.log.level)
            net = configuration.net if configuration.marks_sockets else None
            services.append(compile_service(settings, net, loops, service_log, building))
        except ServiceError as error:
            problems += map(str, error.problems)
        for problem in problems:
            log.write(Level.ERR, problem)
            failed = True
    if failed:
        log.write(Level.ERR, "Configuration failed")
        raise GenerationError
    return with_virtual_services(services)


def bind(
    configuration: Configuration,
    services: Iterable[Service],
    old: Generation | None,
    log: Log,
    activated: Iterable[socket.socket] = (),
) -> Generation:
    """Listen for all services, on the old generation's sockets where it has them.

    `activated`: sockets that a service manager listens on already, for the accept lines in their order (manual of
    stunnel 5: systemd). Where there are more lines than sockets, the rest is bound; the other way round is an error.

    As in stunnel, a service of which at least one address could be bound runs; the others are warned about.
    Raises `GenerationError` after logging every problem; then nothing was changed.
    """
    services = tuple(services)
    pool = _Pool(old.listening if old is not None else (), activated)
    bindings: list[Binding] = []
    failed = False
    for service in services:
        listening = _listen(service, pool, log)
        bindings.extend(Binding(one, service) for one in listening)
        failed = failed or (not listening and bool(service.settings.accept))
    if pool.left:
        lacking = f"{pool.left} have no accept line"
        log.write(Level.ERR, f"Too many listening file descriptors received from systemd: {lacking}")
        failed = True
    if failed:
        for listening_socket in pool.created:
            listening_socket.close()
        raise GenerationError
    generation = Generation(configuration, tuple(bindings), services, 1 if old is None else old.number + 1)
    _adapt(generation, pool.created, log)
    return generation


class _Pool:
    """Listening sockets to take over, by the address that was asked for, and those that had to be made."""

    def __init__(self, old: Iterable[ListeningSocket], activated: Iterable[socket.socket]) -> None:
        self.created: list[ListeningSocket] = []
        self._activated = list(activated)
        self._old: dict[Endpoint, list[ListeningSocket]] = {}
        for listening in old:
            self._old.setdefault(listening.spec.endpoint, []).append(listening)

    @property
    def left(self) -> int:
        """How many sockets of the service manager nobody wanted."""
        return len(self._activated)

    def take_activated(self, spec: ListenerSpec, service: Service, log: Log) -> ListeningSocket | None:
        """The service manager's socket for an accept line: the one it has already, else the next one; None if there is
        none. Raises `ListenError`."""
        kept = self._old.get(spec.endpoint, [])
        if kept and kept[0].borrowed:
            return kept.pop(0)
        if not self._activated:
            return None
        listening = listen.adopt(self._activated.pop(0), spec, service.transparency, log)
        self.created.append(listening)
        number = listening.sock.fileno()
        log.write(Level.INFO, f"Listening file descriptor received from systemd (FD={number})")
        log.write(Level.INFO, f"Service [{service.name}] (FD={number}) bound to {listening.address}")
        return listening

    def take(self, spec: ListenerSpec, service: Service, log: Log) -> ListeningSocket:
        """A socket for an address. Raises `ListenError`."""
        waiting = self._old.get(spec.endpoint)
        if waiting:
            return waiting.pop(0)
        try:
            listening = listen.listen(spec, service.transparency, log)
        except ListenError as error:
            if not (others := self._in_the_way(error, spec.endpoint)):
                raise
            listening = self._listen_beside(others, spec, service, log)
        self.created.append(listening)
        number = listening.sock.fileno()
        log.write(Level.INFO, f"Service [{service.name}] (FD={number}) bound to {listening.address}")
        return listening

    def _in_the_way(self, error: ListenError, endpoint: Endpoint) -> list[ListeningSocket]:
        """The sockets of the running configuration, on other addresses, that keep a port taken."""
        taken = isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE
        port = getattr(endpoint, "port", 0)
        old = (held for sockets in self._old.values() for held in sockets)
        return [held for held in old if taken and port and getattr(held.address, "port", None) == port]

    @staticmethod
    def _listen_beside(
        others: list[ListeningSocket], spec: ListenerSpec, service: Service, log: Log
    ) -> ListeningSocket:
        """From a wildcard to one of its addresses, or back: both listen until the new workers serve."""
        try:
            return listen.listen(spec, service.transparency, log, beside=others)
        except ListenError as error:
            # The kernel lets only sockets of the same user share a port, and setuid has made us another one.
            reason = f"{error.fields['reason']}: the running configuration has that port, restart to move it"
            raise ListenError(address=spec.endpoint, reason=reason) from error


def _listen(service: Service, pool: _Pool, log: Log) -> list[ListeningSocket]:
    """All listening sockets of a service; none if not one of them could be had (which was logged)."""
    bound: list[ListeningSocket] = []
    # As texts: a kept exception would keep this frame, and with it the service, until the collector comes by.
    problems: list[tuple[str, str]] = []
    for spec in service.listener_specs():
        try:
            if (given := pool.take_activated(spec, service, log)) is not None:
                bound.append(given)
                continue
            addresses = listen.expand(spec)
        except ListenError as error:
            problems.append((str(error.fields["address"]), str(error.fields["reason"])))
            continue
        for one in addresses:
            try:
                bound.append(pool.take(one, service, log))
            except ListenError as error:
                problems.append((str(error.fields["address"]), str(error.fields["reason"])))
    for address, reason in problems:
        if bound:
            log.write(Level.WARNING, f"Binding service [{service.name}] to {address}: {reason}")
        else:
            log.write(Level.ERR, f"Binding service [{service.name}] failed: bind: {address}: {reason}")
    return bound


def _adapt(generation: Generation, created: list[ListeningSocket], log: Log) -> None:
    """Give sockets that live on the options that their service has now."""
    for binding in generation.bindings:
        if binding.listening not in created:
            sockopts.apply(binding.listening.sock, binding.service.settings.sockets.accept, "accept", log)
            # What the socket was given when it was made stays, also where we may not give it any more (setuid).
            with contextlib.suppress(PermissionError):
                binding.service.transparency.prepare_listener(binding.listening.sock)
            try:
                binding.listening.give_to(*binding.service.owner)
            except ListenError as error:
                log.write(Level.WARNING, f"Service [{binding.service.name}]: {error}")


def _demand_rights(settings: ServiceSettings, process: ProcessSettings) -> None:
    """What uses foreign addresses or marks its sockets must be able to for each connection: after setuid as well."""
    wanted = _needs_rights(settings)
    if wanted is None:
        return
    reason = None
    if process.user not in (None, "root", "0"):
        reason = f"{wanted} needs root, so setuid must not be set"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            sockopts.set_transparent(probe)
        except OSError:
            reason = f"{wanted} needs root (CAP_NET_ADMIN or CAP_NET_RAW)"
    if reason is not None:
        raise ServiceError(place=settings.place, service=settings.name, reason=reason)


def _needs_rights(settings: ServiceSettings) -> str | None:
    """The option that needs them."""
    if settings.transparency.source and not settings.local:
        return f"transparent = {settings.transparency.value}"
    if settings.capture is not None and settings.capture.local:
        return "captureLocal = yes"
    return None
