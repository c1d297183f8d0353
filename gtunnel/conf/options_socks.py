"""Options of a SOCKS server: who may use it, and whom they may reach. stunnel has none of them."""

import ipaddress

from gtunnel.conf.option import BadValueError, Repeated, Scope, Single, Topic
from gtunnel.conf.parsers import ip_address, path
from gtunnel.conf.targetrules import TargetRule, parse


def own_address(text: str) -> str:
    """Parse an address of this machine's that others can be told."""
    address = ip_address(text)
    if ipaddress.ip_address(address).is_unspecified or ipaddress.ip_address(address).is_multicast:
        raise BadValueError("one address of this machine is needed, which others can be told")
    return address


SOCKS_BIND = Single[str | None](
    name="socksBind",
    scope=Scope.SERVICE,
    parse=own_address,
    default=None,
    metavar="ADDRESS",
    help="let a SOCKS server's clients wait for a connection at this address",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "SOCKS' BIND, for `protocol = socks` in server mode: for protocols such as FTP, whose servers connect back. "
        "gtunnel listens at this address of its own, on a port that the kernel chooses, for one connection of the host "
        "that the client has named, and that `socksTargets` allows in lines without ports. Others are turned away. "
        "Without this option BIND is refused, as in stunnel."
    ),
)
SOCKS_TARGETS = Repeated[TargetRule](
    name="socksTargets",
    scope=Scope.SERVICE,
    parse=parse,
    metavar="allow|deny TARGET[:PORTS]",
    help="whom a SOCKS server's clients may reach; the first line that matches counts",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "For `protocol = socks` in server mode. A target is a network (`socksTargets = deny 10.0.0.0/8`, `socksTargets "
        "= allow [2001:db8::]/32:443`), a name (`socksTargets = allow www.example.org:80,443`), all names below one "
        "(`socksTargets = allow *.example.org:1-1023`), or everybody (`socksTargets = allow *`). Lines are read from "
        "the first to the last, for each address of the target by itself: networks are compared with the address, "
        "names with what the client asked for. What no line is about is refused. So to keep names from leading into a "
        "network, deny the network first. What is denied as IPv4 is denied behind NAT64 as well. Without any line "
        "everything is allowed. This machine's loopback is refused unless a line allows a network in it, such as "
        "`socksTargets = allow 127.0.0.1:8080`."
    ),
)
SOCKS_USERS = Single[str | None](
    name="socksUsers",
    scope=Scope.SERVICE,
    parse=path,
    default=None,
    metavar="FILE",
    help="names and passwords of a SOCKS server's clients",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "For `protocol = socks` in server mode. Clients have to say a name and a password (RFC 1929), so SOCKS 4 does "
        "not work any more. The file has lines `USER:PASSWORD`; instead of a password there may be its hash as "
        "`openssl passwd -6` writes it. It is read at start and at a reload. A certificate that `verifyChain` or "
        "`verifyPeer` demands is the better proof, and both may be asked for."
    ),
)
SOCKS_UDP = Single[str | None](
    name="socksUdp",
    scope=Scope.SERVICE,
    parse=own_address,
    default=None,
    metavar="ADDRESS",
    help="relay the datagrams of a SOCKS server's clients, which they send to this address",
    since="gtunnel 0.1",
    topic=Topic.PROTOCOLS,
    more=(
        "SOCKS' UDP ASSOCIATE, for `protocol = socks` in server mode. Only the request for it is inside TLS: the "
        "datagrams themselves go between the client and this address as they are, for everybody on the way to read and "
        "to forge. So it is for networks that are trusted, or for what protects itself, such as QUIC. Datagrams are "
        "taken from the address that the TLS connection comes from, to targets that `socksTargets` allows; an "
        "association ends with its connection. Without this option UDP ASSOCIATE is refused, as in stunnel."
    ),
)

OPTIONS = (SOCKS_BIND, SOCKS_TARGETS, SOCKS_UDP, SOCKS_USERS)
