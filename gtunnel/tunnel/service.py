"""A service, compiled: everything that its connections share. Made by the supervisor before it forks: no gevent."""

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import field

from gtunnel.conf.errors import Problem
from gtunnel.conf.settings import AccessSettings, ServiceSettings, VirtualName
from gtunnel.errors import GtunnelError
from gtunnel.events import Log
from gtunnel.net import listen
from gtunnel.net.launch import Launch
from gtunnel.net.listen import ListenerSpec
from gtunnel.net.outgoing import Outgoing
from gtunnel.net.transparency import TransparencyStrategy
from gtunnel.tls.context import TlsContext
from gtunnel.tls.ocsp.inquiry import Inquirer
from gtunnel.tunnel.resumption import ClientResumption
from gtunnel.tunnel.shared import SharedCache, SharedLock
from gtunnel.tunnel.targets import Targets
from gtunnel.values import dataclass
from gtunnel.wire.socksusers import Users
from gtunnel.wire.steps import Negotiation, Scene

# The settings of a service that lets everybody in.
_OPEN = AccessSettings()


class ServiceError(GtunnelError):
    """A service that cannot be compiled."""

    template = "{place}: Service [{service}]: {reason}"

    @property
    def problems(self) -> tuple[object, ...]:
        """Each thing that is wrong, its text fit for a line of its own."""
        return (self,)


class ServiceSettingsError(ServiceError):
    """What is wrong with a service's settings, each at its option's line. `str()` has a line for each."""

    template = "{detail}"

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self._problems = problems
        super().__init__(detail="\n".join(str(problem) for problem in problems))

    @property
    def problems(self) -> tuple[object, ...]:
        """Each thing that is wrong."""
        return self._problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One `[service]`, ready to serve. `launch` is how its programs are started; `turn` is held by the one worker that
    starts the program which is the service's client.

    Of what its settings say, each connection asks some; that is known beforehand. `selective`: only some are let in;
    `fronted`: some come through a load balancer that says for whom; `inquires`: a peer has to convince us of more than
    its handshake does; `tells_tls`: its target is told what TLS has found out.
    """

    settings: ServiceSettings
    tls: TlsContext
    transparency: TransparencyStrategy
    targets: Targets
    redirected: Targets | None
    outgoing: Outgoing
    negotiate: Callable[[Scene], Negotiation]
    launch: Launch | None
    turn: SharedLock | None
    inquirer: Inquirer | None
    server_sessions: SharedCache | None
    client_sessions: ClientResumption | None
    log: Log
    owner: tuple[int, int] = listen.NOBODY
    users: Users | None = None
    virtual: tuple[tuple[VirtualName, "Service"], ...] = ()
    selective: bool = field(init=False, default=False)
    fronted: bool = field(init=False, default=False)
    inquires: bool = field(init=False, default=False)
    tells_tls: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        settings = self.settings
        # A client's sessions end in time anyway, and the server may have a new certificate by now.
        ages = settings.verification.convincing and not settings.client
        object.__setattr__(self, "selective", settings.access != _OPEN)
        object.__setattr__(self, "fronted", bool(settings.protocol.proxy.senders))
        object.__setattr__(self, "inquires", ages or self.inquirer is not None)
        object.__setattr__(self, "tells_tls", settings.protocol.tells_tls)

    def for_name(self, server_name: str | None) -> "Service | None":
        """The service that serves a name of this one's clients; None if it does so itself."""
        if server_name is None:
            return None
        return next((service for name, service in self.virtual if name.matches(server_name)), None)

    @property
    def name(self) -> str:
        """The name in brackets."""
        return self.settings.name

    def listener_specs(self) -> tuple[ListenerSpec, ...]:
        """The sockets that the service wants to listen on."""
        settings = self.settings
        return tuple(ListenerSpec(endpoint, settings.sockets.accept, self.owner) for endpoint in settings.accept)


def with_virtual_services(services: Iterable[Service]) -> tuple[Service, ...]:
    """Services of which each knows those that serve some of its names, in the order written."""
    found = tuple(services)
    names = [(name, service) for service in found for name in service.settings.virtual_names]
    return tuple(
        dataclasses.replace(
            service, virtual=tuple(pair for pair in names if pair[0].primary == service.settings.section)
        )
        for service in found
    )
