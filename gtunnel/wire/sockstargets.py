"""Whom the clients of a SOCKS server may reach (option socksTargets).

Each address of a target is judged by itself, by the first rule that is about it; what no rule is about is refused.
Without any rule everything is allowed, as in stunnel, but for this machine's loopback. That needs a rule of its own in
any case: a name that someone else's server resolves to it must not open what trusts this machine.
"""

from ipaddress import IPv6Address, ip_address

from gtunnel.address import HostPort, SocketAddress
from gtunnel.conf.targetrules import Address, TargetRule
from gtunnel.wire.sockswords import RefusedTargetError


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
    rule = next((rule for rule in rules if rule.matches(name, ip, address.port)), None)
    if (ip.is_loopback or ip.is_unspecified) and not (rule is not None and rule.allow and rule.inside):
        return "it is this machine's loopback"
    if rules and (rule is None or not rule.allow):
        return "socksTargets does not allow it"
    return ""


def _canonical(address: SocketAddress) -> SocketAddress:
    """As the kernel writes it, so that it can be compared."""
    return SocketAddress(str(plain(address)), address.port, address.scope)


def plain(address: SocketAddress) -> Address:
    """The address, an IPv4 one also where it is written as IPv6."""
    ip = ip_address(address.host)
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip
