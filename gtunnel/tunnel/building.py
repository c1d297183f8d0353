"""Compiling a service: from its settings to what its connections share, or all that is wrong with them."""

import dataclasses
import grp
import pwd
from collections.abc import Iterator
from dataclasses import field
from functools import partial

from gtunnel.address import HostPort, SocketAddress
from gtunnel.conf.errors import Problem, problem_of
from gtunnel.conf.settings import (
    NetSettings,
    Protocol,
    ServiceSettings,
    SessionServerKind,
    SocketOwner,
    Transparency,
)
from gtunnel.events import Level, Log
from gtunnel.net import kerneltls, libwrap, names, preload, redisclient
from gtunnel.net.errors import ResolveError
from gtunnel.net.launch import Launch, base_environment, refusal
from gtunnel.net.loops import LoopGuard
from gtunnel.net.outgoing import Outgoing
from gtunnel.net.transparency import Redirected, TransparencyStrategy, strategy
from gtunnel.tls import context
from gtunnel.tls.context import TlsContext
from gtunnel.tls.errors import TlsSetupError
from gtunnel.tls.ocsp.errors import InconclusiveError
from gtunnel.tls.ocsp.staple import Staple
from gtunnel.tls.resumption import may_resume
from gtunnel.tls.site import Site
from gtunnel.tunnel import proof
from gtunnel.tunnel.resumption import MAX_AT_HAND, ClientResumption
from gtunnel.tunnel.service import Service, ServiceSettingsError
from gtunnel.tunnel.shared import SharedCache, SharedCounter, SharedLock
from gtunnel.tunnel.targets import Targets
from gtunnel.values import dataclass
from gtunnel.wire import protocols


@dataclass(frozen=True, slots=True)
class Building:
    """What is there while services are compiled: where to tell what is to be told now, how to get at keys, and what
    programs get: `setEnv`, and whether their standard error is ours (`aloud`)."""

    log: Log
    site: Site = field(default_factory=Site)
    environment: tuple[tuple[str, str], ...] = ()
    aloud: bool = False


def compile_service(
    settings: ServiceSettings, net: NetSettings | None, loops: LoopGuard, log: Log, building: Building | None = None
) -> Service:
    """Build a service. Reads certificates and looks names up. `net` is given where outgoing sockets are to be marked.

    `log` is the one of its connections; where they log is perhaps not open yet, so what is to be told now goes to
    `building`.

    Raises `ServiceError` with all that is wrong.
    """
    building = building or Building(log)
    problems: list[Problem] = []
    tls = local = users = None
    try:
        tls = context.build(settings, building.site, partial(_has_kernel_tls, settings, building.log))
    except TlsSetupError as error:
        problems += (_tls_problem(settings, problem) for problem in error.problems)
    try:
        users = proof.load(settings, building.site)
    except TlsSetupError as error:
        problems.append(_tls_problem(settings, error))
    try:
        local = _local(settings.connect.local)
    except ResolveError as error:
        problems.append(problem_of(settings, "local", error))
    problems += _missing(settings, building.site)
    if tls is None or problems:
        raise ServiceSettingsError(tuple(problems))
    if tls.served is not None:
        _prepare(tls.served, settings, building.log)
    transparency = _strategy(settings, loops)
    return Service(
        settings=settings,
        tls=tls,
        transparency=transparency,
        targets=Targets(settings.connect, SharedCounter().next, _PlacedLog(building.log, settings)),
        redirected=_redirected(settings, _PlacedLog(building.log, settings)),
        outgoing=Outgoing(
            seconds=settings.timeouts.connect,
            options=settings.sockets.remote,
            strategy=transparency,
            local=local,
            mark=net.own_mark if net is not None else 0,
            loops=loops if settings.transparency.destination else None,
        ),
        negotiate=protocols.negotiator(settings.protocol, client=settings.client),
        launch=_launch(settings, net, building),
        turn=SharedLock() if settings.connects_program else None,
        inquirer=tls.inquirer,
        server_sessions=_server_sessions(settings, tls),
        client_sessions=_client_sessions(settings),
        users=users,
        log=log,
        owner=_owner(settings.socket_owner),
    )


def _strategy(settings: ServiceSettings, loops: LoopGuard) -> TransparencyStrategy:
    """How addresses are treated. A SOCKS server that is not told a fixed destination is told the one that the client
    meant, as in stunnel, whatever `transparent` says."""
    protocol = settings.protocol
    asked = settings.client and protocol.name is Protocol.SOCKS and protocol.destination is None
    if asked and settings.transparency is Transparency.NONE:
        return Redirected(loops)
    if asked and settings.transparency is Transparency.SOURCE:
        return strategy(Transparency.BOTH, loops)
    return strategy(settings.transparency, loops)


def _has_kernel_tls(settings: ServiceSettings, log: Log) -> bool:
    why = kerneltls.refusal()
    if why:
        said = f"Service [{settings.name}]: options = ENABLE_KTLS: {why}: TLS stays in user space"
        log.write(Level.WARNING, str(Problem(settings.place, "", said)))
    return not why


def _prepare(staple: Staple, settings: ServiceSettings, log: Log) -> None:
    try:
        staple.prepare()
    except InconclusiveError as error:
        log.write(Level.WARNING, str(Problem(settings.place, "", f"Service [{settings.name}]: {error}")))


def _launch(settings: ServiceSettings, net: NetSettings | None, building: Building) -> Launch | None:
    program = settings.program
    if program is None:
        return None
    why = refusal(building.site.later(program.path))
    if why is not None:
        # As in stunnel it is the connections that fail: the program may be on a disk that is mounted later.
        building.log.write(Level.WARNING, str(problem_of(settings, "exec", f"{why}{building.site.hint}")))
    return Launch(
        settings=program,
        environment=base_environment(dict(building.environment)),
        aloud=building.aloud,
        mark=net.own_mark if net is not None else 0,
        preload=str(preload.library()) if settings.local and settings.transparency.source else None,
    )


def _server_sessions(settings: ServiceSettings, tls: TlsContext) -> SharedCache | None:
    """Where all workers keep the sessions of clients, unless a server does (`sessionservers`)."""
    if not tls.sessions.enabled or settings.sessions.server is not None:
        return None
    return SharedCache(settings.sessions.size)


def _missing(settings: ServiceSettings, site: Site) -> Iterator[Problem]:
    """What a service needs and this machine does not have."""
    server = settings.sessions.server
    if server is not None and server.kind is SessionServerKind.REDIS and redisclient.module() is None:
        yield problem_of(settings, "sessiond", "the Python package redis (Debian's python3-redis) is not installed")
    if settings.access.libwrap and libwrap.load() is None:
        yield problem_of(settings, "libwrap", "the library libwrap (Debian's package libwrap0) is not installed")
    if settings.local and settings.transparency.source:
        found = preload.library()
        if found is None:
            reason = "with exec this needs gtunnel's library for programs, which was not built"
            yield problem_of(settings, "transparent", f"{reason} (install gcc and gtunnel again, or Debian's stunnel4)")
        elif not site.later(str(found)).exists():
            yield problem_of(settings, "transparent", f"with exec this needs {found} inside of the chroot as well")


def _client_sessions(settings: ServiceSettings) -> ClientResumption | None:
    if not settings.client or not may_resume(settings):
        return None
    size, seconds = settings.sessions.size, settings.sessions.seconds
    return ClientResumption(SharedCache(size), seconds, size or MAX_AT_HAND)


def _redirected(settings: ServiceSettings, log: Log) -> Targets | None:
    """Where clients are connected whose certificate does not convince; None where they are refused."""
    if not settings.redirect:
        return None
    elsewhere = dataclasses.replace(settings.connect, targets=settings.redirect)
    return Targets(elsewhere, SharedCounter().next, log)


class _PlacedLog:
    """Says of what is told while a service is compiled where its `connect` lines stand."""

    def __init__(self, log: Log, settings: ServiceSettings) -> None:
        self._log = log
        self._settings = settings
        self.threshold = log.threshold

    def write(self, level: Level, message: str) -> None:
        """See `Log`."""
        settings = self._settings
        line = settings.lines.last("connect") if len(settings.connect.targets) == 1 else None
        place, text = (settings.place, "") if line is None else (line.place, line.text)
        self._log.write(level, str(Problem(place, text, f"Service [{settings.name}]: {message}")))

    def named(self, identifier: str) -> Log:
        """See `Log`."""
        return _PlacedLog(self._log.named(identifier), self._settings)


def _tls_problem(settings: ServiceSettings, error: TlsSetupError) -> Problem:
    said = error.fields
    return problem_of(settings, error.option, said["reason"], value=said.get("parsed"), shown_value=said["value"])


def _owner(settings: SocketOwner) -> tuple[int, int]:
    """User and group as chown(2) takes them. That they exist was seen when the option was read."""
    user, group = settings.user, settings.group
    return (
        -1 if user is None else int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid,
        -1 if group is None else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid,
    )


def _local(host: str | None) -> str | None:
    if host is None:
        return None
    address = names.lookup(HostPort(host, 0), default_host=names.ANY)[0]
    return address.host if isinstance(address, SocketAddress) else None
