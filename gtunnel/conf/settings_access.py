"""What a configuration says about who may connect: its part of `settings`, from where everybody takes it."""

from gtunnel.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessSettings:
    """Who may connect: `libwrap`, `ident` (the user), `maxConnections` and `maxConnectionsPerIP` of a service."""

    libwrap: bool = False
    ident: str | None = None
    connections: int | None = None
    per_ip: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketOwner:
    """`setuid` and `setgid` of a service: names or numbers for the Unix sockets it listens on."""

    user: str | None = None
    group: str | None = None
