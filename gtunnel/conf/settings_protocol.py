"""What a configuration says about application protocols: its part of `settings`, from where everybody takes it."""

import enum
import ipaddress
from dataclasses import field

from gtunnel.address import HostPort, SocketAddress, parse_endpoint
from gtunnel.conf.targetrules import Network, TargetRule
from gtunnel.values import dataclass


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
        return self not in (Protocol.CONNECT, Protocol.LDAP, Protocol.NNTP)

    @property
    def dials(self) -> bool:
        """Whether it works in client mode."""
        return self is not Protocol.PROXY

    @property
    def remedy(self) -> str:
        """What to do instead in the mode that it does not work in; "" where there is nothing to say."""
        # Differs from stunnel: whoever asked in plaintext would choose the target, whatever `connect` says.
        return "protocol = socks lets clients choose the target, inside TLS" if self is Protocol.CONNECT else ""

    @property
    def names_target(self) -> bool:
        """Whether the clients of a server say whom they want to reach, so that it has no `connect`."""
        return self is Protocol.SOCKS

    @property
    def names_destination(self) -> bool:
        """Whether a client tells the server that it connects to whom it wants to reach (`protocolHost`)."""
        return self in (Protocol.CONNECT, Protocol.SOCKS)

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
class SocksSettings:
    """`socks*`: a file of names and passwords (None: nobody is asked); whom clients may reach (empty: everybody); and
    our addresses for BIND and UDP ASSOCIATE (None: they are refused)."""

    users: str | None = None
    targets: tuple[TargetRule, ...] = ()
    bind: str | None = None
    udp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """`proxyVersion`, and `acceptProxy`: whose connections begin with a header."""

    version: int = 1
    senders: tuple[Network, ...] = ()

    def sends(self, client: SocketAddress | None) -> bool:
        """Whether who connected is one of those that say for whom they do."""
        if client is None or not self.senders:
            return False
        address = ipaddress.ip_address(client.host)
        return any(address in network for network in self.senders)


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
    socks: SocksSettings = SocksSettings()
    proxy: ProxySettings = ProxySettings()

    @property
    def begins_with_tls(self) -> bool:
        """Whether TLS is a server's first word, so that what follows may be another service's (`sni`)."""
        return self.name is None or not self.name.begins_plain

    @property
    def tells_tls(self) -> bool:
        """Whether the target is told what TLS has found out."""
        return self.name is Protocol.PROXY and self.proxy.version > 1

    @property
    def destination(self) -> HostPort | None:
        """`protocolHost`, where it says whom the server is to be asked for."""
        if self.host is None or self.name is None or not self.name.names_destination:
            return None
        endpoint = parse_endpoint(self.host)
        return endpoint if isinstance(endpoint, HostPort) else None

    @property
    def carries_destination(self) -> bool:
        """Whether the server that a client connects to is told the destination that the client meant. A HTTP proxy is
        told `protocolHost` only, and may be where the client was going itself (`transparent = destination`)."""
        return self.name is Protocol.SOCKS

    @property
    def tls_peer(self) -> str | None:
        """The host that speaks TLS where it is not the one that is connected to, but one behind it."""
        target = self.destination if self.name is Protocol.CONNECT else None
        return None if target is None else target.host
