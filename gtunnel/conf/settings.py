"""What a configuration says, as frozen data in groups. Each consumer gets the group that concerns it, never the whole.

Units stand beside the fields. The option that fills a field is in `options`; defaults are there too, not here.
"""

import enum
from dataclasses import field

from gtunnel.address import Endpoint, HostPort
from gtunnel.conf.place import Place
from gtunnel.conf.settings_access import AccessSettings, SocketOwner
from gtunnel.conf.settings_net import CaptureMethod, CaptureSettings, NetBackend, NetSettings, Transparency
from gtunnel.conf.settings_program import ProgramSettings
from gtunnel.conf.settings_protocol import Protocol, ProtocolSettings, ProxySettings, SocksSettings
from gtunnel.conf.settings_tls import (
    EngineCertificates,
    OcspFlag,
    OcspSettings,
    SessionServer,
    SessionServerKind,
    SessionSettings,
    TicketSecrets,
    TlsSettings,
    TlsVersion,
    VerificationSettings,
    VirtualName,
)
from gtunnel.events import Level
from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True)
class OptionLine:
    """One option's line: the option's proper name, the value it gave, and the line as written (secrets masked)."""

    option: str
    value: object
    place: Place
    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines that a service's settings came from: its own, and the defaults for all services (shared by them)."""

    own: tuple[OptionLine, ...] = ()
    inherited: "Lines | None" = None

    def last(self, *options: str, value: object = None) -> OptionLine | None:
        """The line of some options that counts last, with this value if one is given; None if there is none."""
        for line in reversed(self.own):
            if line.option in options and (value is None or line.value == value):
                return line
        return None if self.inherited is None else self.inherited.last(*options, value=value)


class Foreground(enum.Enum):
    """`foreground`: whether to detach, and whether to log to standard error as well (YES only)."""

    YES = "yes"
    QUIET = "quiet"
    NO = "no"


class LogMode(enum.Enum):
    """`log`: what opening and reopening does to the `output` file."""

    APPEND = "append"
    OVERWRITE = "overwrite"


class LogId(enum.Enum):
    """`logId`: the text in the brackets of `LOG5[…]`."""

    SEQUENTIAL = "sequential"
    UNIQUE = "unique"
    THREAD = "thread"
    PROCESS = "process"


class Failover(enum.Enum):
    """`failover`: RR takes targets in turn, PRIO in the order written."""

    RR = "rr"
    PRIO = "prio"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """`debug`: threshold and syslog facility (lower-case name, such as "daemon")."""

    level: Level
    facility: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOutput:
    """Where lines go: `output`, `log`, `syslog`, `service` (the syslog ident), and `foreground`; `accessLog` (None: no
    lines about connections)."""

    file: str | None
    mode: LogMode
    syslog: bool
    ident: str
    foreground: Foreground
    access: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """`chroot`, `setuid`, `setgid`, `pid` (None: no pid file), `workers` (None: one per core), `reloadCerts`,
    `maxConnections` of all services together (None: no limit), `control` (None: no socket; "auto": by the file's name),
    `controlGroup` (None: nobody else may ask), `drainTimeout` (seconds; None: no limit).
    """

    chroot: str | None
    user: str | None
    group: str | None
    pid_file: str | None
    workers: int | None
    reload_certs: bool = False
    max_connections: int | None = None
    control: str | None = None
    control_group: str | None = None
    drain_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectSettings:
    """Where a service's connections go. `targets` is empty only with `transparent = destination | both`."""

    targets: tuple[Endpoint, ...]
    failover: Failover
    delay: bool
    local: str | None  # `local`: numeric source address or a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. `busy`: a negotiation's step; `close`: a half-closed connection; `idle`: an open one; `handshake`: all
    that comes before the relay (None: no limit)."""

    busy: float
    close: float
    connect: float
    idle: float
    handshake: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOption:
    """One `socket =` line: the option's name as written (SO_KEEPALIVE) and its value, encoded for setsockopt(2)."""

    name: str
    level: int
    number: int
    value: int | bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOptions:
    """`socket = a:… | l:… | r:…`, in the order written: listening, accepted, and outgoing sockets."""

    accept: tuple[SocketOption, ...]
    local: tuple[SocketOption, ...]
    remote: tuple[SocketOption, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LibrarySettings:
    """OpenSSL as a library: the lines of engines, providers and FIPS in their order; `RNDfile`, `RNDbytes` and
    `RNDoverwrite`."""

    steps: tuple[OptionLine, ...]
    seed_file: str
    seed_bytes: int
    overwrite_seed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSettings:
    """One `[service]`. `lines` is for messages: what was written differently and means the same is equal.

    `section` is what stands in the brackets, which `name` is unless `service` says otherwise. `virtual_names` are for a
    service that has no listener of its own but serves some of another one's clients. `program` is the service's target,
    or its client where there is no listener. With `inetd` the one connection is standard input.
    """

    name: str
    section: str
    place: Place
    client: bool
    accept: tuple[Endpoint, ...]
    connect: ConnectSettings
    protocol: ProtocolSettings
    access: AccessSettings
    socket_owner: SocketOwner
    program: ProgramSettings | None
    transparency: Transparency
    capture: CaptureSettings | None
    tls: TlsSettings
    verification: VerificationSettings
    sessions: SessionSettings
    redirect: tuple[Endpoint, ...]
    virtual_names: tuple[VirtualName, ...]
    ocsp: OcspSettings
    timeouts: Timeouts
    sockets: SocketOptions
    reset: bool
    log_id: LogId
    log: LogSettings
    inetd: bool = False
    lines: Lines = field(default=Lines(), compare=False, repr=False)

    @property
    def local(self) -> bool:
        """Whether connections end at a program that is started for each of them (the manual's "local mode")."""
        return self.program is not None and not self.connects_program

    @property
    def connects_program(self) -> bool:
        """Whether the program is the service's client: it is started once, not for each connection."""
        return self.program is not None and not (self.accept or self.virtual_names or self.inetd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A whole configuration file. `notes` are lines for the log at debug level (options ignored on this platform)."""

    file: str
    log: LogSettings
    output: LogOutput
    process: ProcessSettings
    net: NetSettings
    library: LibrarySettings
    services: tuple[ServiceSettings, ...]
    notes: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # `setEnv`

    @property
    def inetd(self) -> bool:
        """Whether somebody else has accepted the one connection to be served (manual, INETD MODE)."""
        return any(service.inetd for service in self.services)

    @property
    def marks_sockets(self) -> bool:
        """Whether outgoing sockets carry our mark: only where netsetup's rules look at it.

        They do to lead servers' answers to clients back to us (`source`), and to leave our own traffic out
        (`captureLocal`). Setting a mark takes rights that REDIRECT alone does without.
        """
        return any(
            (service.transparency.source and not service.local)
            or (service.capture is not None and service.capture.local)
            for service in self.services
        )


__all__ = [
    "AccessSettings",
    "CaptureMethod",
    "CaptureSettings",
    "Configuration",
    "ConnectSettings",
    "Endpoint",
    "EngineCertificates",
    "Failover",
    "Foreground",
    "HostPort",
    "Lines",
    "LogId",
    "LogMode",
    "LogOutput",
    "LogSettings",
    "NetBackend",
    "NetSettings",
    "OcspFlag",
    "OcspSettings",
    "OptionLine",
    "Place",
    "ProcessSettings",
    "ProgramSettings",
    "Protocol",
    "ProtocolSettings",
    "ProxySettings",
    "ServiceSettings",
    "SessionServer",
    "SessionServerKind",
    "SessionSettings",
    "SocketOption",
    "SocketOptions",
    "SocketOwner",
    "SocksSettings",
    "TicketSecrets",
    "Timeouts",
    "TlsSettings",
    "TlsVersion",
    "Transparency",
    "VerificationSettings",
    "VirtualName",
]
