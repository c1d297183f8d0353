"""Whom the clients of a SOCKS server may reach."""

from ipaddress import IPv6Address, ip_address

from gtunnel.address import HostPort, SocketAddress
from gtunnel.wire.sockswords import RefusedTargetError


def admitted(target: HostPort, addresses: tuple[SocketAddress, ...]) -> tuple[SocketAddress, ...]:
    """Those of a target's addresses that may be connected to. Raises `RefusedTargetError` if there are none."""
    if target.port == 0:
        raise RefusedTargetError(target=target, reason="there is no port 0")
    found = tuple(address for address in addresses if not is_inside(address))
    if not found:
        raise RefusedTargetError(target=target, reason="it is this machine's loopback")
    return found


def is_inside(address: SocketAddress) -> bool:
    """Whether an address leads to services that trust this machine: its loopback, and what the kernel takes for it."""
    ip = ip_address(address.host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback or ip.is_unspecified
