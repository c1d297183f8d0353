"""Whom the clients of a SOCKS server may reach (option socksTargets).

Each address of a target is judged by itself, by the first rule that is about it; what no rule is about is refused.
Without any rule everything is allowed, as in stunnel, but for this machine's loopback. That needs a rule of its own in
any case: a name that someone else's server resolves to it must not open what trusts this machine.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from gtunnel.address import HostPort, SocketAddress
from gtunnel.conf.targetrules import Address, TargetRule
from gtunnel.wire.sockswords import RefusedTargetError

# What a translator makes an IPv4 address of, the last 32 bits (RFC 6052, RFC 8215); and what the oldest tunnels did.
_TRANSLATED: Final = tuple(map(IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")))


def admitted(
    target: HostPort,
    addresses: tuple[SocketAddress, ...],
    rules: tuple[TargetRule, ...] = (),
    *,
    any_port: bool = False,
) -> tuple[SocketAddress, ...]:
    """Those of a target's addresses that may be connected to. Raises `RefusedTargetError` if there are none.

    With `any_port`, its port may be 0: it is not known, or does not matter. Rules with ports are about other ones then.
    """
    if target.port == 0 and not any_port:
        raise RefusedTargetError(target=target, reason="there is no port 0")
    name = target.host if target.literal is None else None
    reasons = [_objection(name, address, rules) for address in addresses]
    found = tuple(_canonical(address) for address, reason in zip(addresses, reasons, strict=True) if not reason)
    if not found:
        raise RefusedTargetError(target=target, reason=next(filter(None, reasons), "it has no address"))
    return found


def _objection(name: str | None, address: SocketAddress, rules: tuple[TargetRule, ...]) -> str:
    """Why an address must not be connected to; "" if it may."""
    ip = plain(address)
    rule = _rule(name, ip, address.port, rules)
    if _is_inside(ip, rule):
        return "it is this machine's loopback"
    if rules and (rule is None or not rule.allow):
        return "socksTargets does not allow it"
    behind = _behind(ip)
    if behind is not None:
        rule = _rule(name, behind, address.port, rules)
        if _is_inside(behind, rule) or (rule is not None and not rule.allow):
            return f"it leads to {behind}, and socksTargets does not allow that"
    return ""


def _rule(name: str | None, ip: Address, port: int, rules: tuple[TargetRule, ...]) -> TargetRule | None:
    return next((rule for rule in rules if rule.matches(name, ip, port)), None)


def _is_inside(ip: Address, rule: TargetRule | None) -> bool:
    """Whether it is this machine's loopback, and not allowed as such."""
    return (ip.is_loopback or ip.is_unspecified) and not (rule is not None and rule.allow and rule.inside)


def _behind(ip: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to through a translator (NAT64) or a tunnel (6to4)."""
    if not isinstance(ip, IPv6Address) or ip.is_loopback or ip.is_unspecified:
        return None
    if any(ip in network for network in _TRANSLATED):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.sixtofour


def _canonical(address: SocketAddress) -> SocketAddress:
    """As the kernel writes it, so that it can be compared."""
    return SocketAddress(str(plain(address)), address.port, address.scope)


def plain(address: SocketAddress) -> Address:
    """The address, an IPv4 one also where it is written as IPv6."""
    ip = ip_address(address.host)
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip
