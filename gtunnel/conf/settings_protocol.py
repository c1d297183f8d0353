"""What a configuration says about application protocols: its part of `settings`, from where everybody takes it."""

import enum
from dataclasses import dataclass, field


class Protocol(enum.Enum):
    """`protocol`."""

    CIFS = "cifs"
    CONNECT = "connect"
    IMAP = "imap"
    LDAP = "ldap"
    NNTP = "nntp"
    PGSQL = "pgsql"
    POP3 = "pop3"
    PROXY = "proxy"
    SMTP = "smtp"
    SOCKS = "socks"

    @property
    def serves(self) -> bool:
        """Whether it works in server mode."""
        return self not in (Protocol.LDAP, Protocol.NNTP)

    @property
    def dials(self) -> bool:
        """Whether it works in client mode."""
        return self is not Protocol.PROXY

    @property
    def names_target(self) -> bool:
        """Whether the clients of a server say whom they want to reach, so that it has no `connect`."""
        return self is Protocol.SOCKS

    @property
    def talks_first(self) -> bool:
        """Whether a server is connected to its target, and lets it talk, before TLS starts."""
        return self in (Protocol.IMAP, Protocol.POP3, Protocol.SMTP)

    @property
    def begins_plain(self) -> bool:
        """Whether something is said in plaintext on the TLS side, so that a peer may go on so where TLS begins."""
        return self not in (Protocol.SOCKS, Protocol.PROXY)

    def uses(self, *, client: bool) -> "Uses":
        """What it makes of its options in one of the two modes."""
        return USES.get((self, client), NOTHING)


@dataclass(frozen=True, slots=True)
class Uses:
    """Which `protocol*` options mean something to a protocol in one mode, and the values of `protocolAuthentication`:
    the first one is the default."""

    options: frozenset[str] = frozenset()
    authentications: tuple[str, ...] = ()


NOTHING = Uses()
_CREDENTIALS = frozenset({"protocolAuthentication", "protocolUsername", "protocolPassword"})
# By protocol, and whether in client mode. What is not here uses none of them.
USES: dict[tuple[Protocol, bool], Uses] = {
    (Protocol.SMTP, True): Uses(_CREDENTIALS | {"protocolHost"}, ("plain", "login")),
    (Protocol.CONNECT, True): Uses(
        _CREDENTIALS | {"protocolHost", "protocolDomain", "protocolHeader"}, ("basic", "ntlm")
    ),
    (Protocol.SOCKS, True): Uses(frozenset({"protocolHost", "protocolUsername", "protocolPassword"})),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSettings:
    """`protocol*`, as written. `name` None: TLS from the first byte."""

    name: Protocol | None = None
    authentication: str | None = None
    domain: str | None = None
    header: str | None = field(default=None, repr=False)
    host: str | None = None
    password: str | None = field(default=None, repr=False)
    username: str | None = None
