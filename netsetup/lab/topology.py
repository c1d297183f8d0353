"""The lab's hosts, addresses and cables as data. Addresses are those set aside for documentation (RFC 5737, RFC 3849).

client                      gateway                        server
eth0 ---------------------- to-client   to-server -------- eth0
192.0.2.2                   192.0.2.1   198.51.100.1       198.51.100.2
2001:db8:1::2           2001:db8:1::1   2001:db8:2::1      2001:db8:2::2
"""

from dataclasses import dataclass

PREFIX_V4 = 24
PREFIX_V6 = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """One end of a cable. `v4` and `v6` are bare addresses."""

    name: str
    v4: str
    v6: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One namespace. `via` is the neighbour's interface that default routes lead to; None for the router itself."""

    name: str
    interfaces: tuple[Interface, ...]
    via: Interface | None

    @property
    def v4(self) -> str:
        """The IPv4 address of the first interface."""
        return self.interfaces[0].v4

    @property
    def v6(self) -> str:
        """The IPv6 address of the first interface."""
        return self.interfaces[0].v6


_GATEWAY_CLIENT = Interface(name="to-client", v4="192.0.2.1", v6="2001:db8:1::1")
_GATEWAY_SERVER = Interface(name="to-server", v4="198.51.100.1", v6="2001:db8:2::1")

CLIENT = Host(
    name="client",
    interfaces=(Interface(name="eth0", v4="192.0.2.2", v6="2001:db8:1::2"),),
    via=_GATEWAY_CLIENT,
)
GATEWAY = Host(name="gateway", interfaces=(_GATEWAY_CLIENT, _GATEWAY_SERVER), via=None)
SERVER = Host(
    name="server",
    interfaces=(Interface(name="eth0", v4="198.51.100.2", v6="2001:db8:2::2"),),
    via=_GATEWAY_SERVER,
)

HOSTS = (CLIENT, GATEWAY, SERVER)
# Each cable: the gateway's interface, and the host with its interface at the other end.
CABLES = ((_GATEWAY_CLIENT, CLIENT), (_GATEWAY_SERVER, SERVER))
