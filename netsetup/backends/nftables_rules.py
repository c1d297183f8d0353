"""Chains in the language of nft(8): one table of the family inet, whose name is the instance's.

A chain of ours serves one IP version, so its name says which ("v4_pre"). Where the kernel enters, a base chain leads
each version to its chains: "mangle_prerouting" to "v4_pre" and "v6_pre".
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netsetup.backends.nft import Listing
from netsetup.state import (
    Accept,
    Chain,
    Dnat,
    Drop,
    Family,
    Hook,
    Jump,
    Mark,
    Match,
    Redirect,
    Return,
    Rule,
    SetConnectionMark,
    SetMark,
    Table,
    Tproxy,
)

_PROTOCOLS = {Family.IPV4: "ip", Family.IPV6: "ip6"}
_BASES = {
    # As iptables' mangle table: after connection tracking (-200). At OUTPUT a changed mark routes the packet again.
    (Table.MANGLE, Hook.PREROUTING): "type filter hook prerouting priority mangle; policy accept;",
    (Table.MANGLE, Hook.OUTPUT): "type route hook output priority mangle; policy accept;",
    # Before others' (priority dstnat, -100): whoever rewrites a destination first is the only one who does.
    (Table.NAT, Hook.PREROUTING): "type nat hook prerouting priority dstnat - 1; policy accept;",
    (Table.NAT, Hook.OUTPUT): "type nat hook output priority -101; policy accept;",
}
_SYN = "tcp flags & (fin|syn|rst|ack) == syn"
_SHARED = "shared"
_MAX_COMMENT = 100  # nft takes 128
_OUR_CHAIN = re.compile(r"v[46]_(pre|divert|out|loop|take|npre|nout|[a-z]{2}[0-9]+[a-c]?)(_socket[0-9]+)?")


def replacement(chains: tuple[Chain, ...], instance: str) -> str:
    """What nft has to be given to hold these chains in place of all that the instance's table held."""
    return removal(instance) + definition(chains, instance)


def removal(instance: str) -> str:
    """What nft has to be given to remove the table; no error where there is none."""
    return f"add table inet {instance}\ndelete table inet {instance}\n"


def definition(chains: tuple[Chain, ...], instance: str) -> str:
    """The table alone. Chains are defined from the last called to the first, as nft wants it."""
    lines = [f"table inet {instance} {{"]
    for chain in chains:
        lines.append(f"  chain {_name(chain.family, chain.name)} {{ }}")
        if _asks_for_socket(chain):
            lines += _socket_chains(chain, instance)
    for chain in chains:
        lines.append(f"  chain {_name(chain.family, chain.name)} {{")
        lines += [f"    {_rule(rule, chain, instance)}" for rule in chain.rules]
        lines.append("  }")
    lines += [*_base_chains(chains, instance), "}"]
    return "\n".join(lines) + "\n"


def is_ours(listing: Listing, instance: str) -> bool:
    """Whether a table that has the instance's name is the instance's, however damaged: a chain or a comment in it is.

    So is an empty one, of which nobody can miss anything.
    """
    chains = [chain["name"] for chain in listing.named("chain")]
    comments = [rule.get("comment", "") for rule in listing.named("rule")]
    marked = any(map(_OUR_CHAIN.fullmatch, chains)) or any(one.startswith(f"{instance}:") for one in comments)
    return marked or all("table" in one for one in listing.objects)


def flat(text: str) -> tuple[str, ...]:
    """The listing of a table as commands, one line each, that could be given to nft one by one."""
    lines: list[str] = []
    table = chain = ""
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("table "):
            table = words.removeprefix("table ").removesuffix(" {")
            lines.append(f"nft add table {table}")
        elif words.endswith("{") and line.startswith("\t") and not line.startswith("\t\t"):
            chain = words.removesuffix(" {").removeprefix("chain ")
            lines.append(f"nft add chain {table} {chain}")
        elif words.startswith("type ") and " hook " in words:
            lines[-1] += f" {{ {words} }}"
        elif words not in ("", "}"):
            lines.append(f"nft add rule {table} {chain} {words}")
    return tuple(lines)


def _name(family: Family, name: str) -> str:
    return f"v{family.value}_{name}"


def _comment(instance: str, service: str) -> str:
    """`instance:service`, without what would have to be quoted."""
    return f"{instance}:{re.sub(r'[^A-Za-z0-9_.:-]', '_', service)}"[:_MAX_COMMENT]


def _base_chains(chains: tuple[Chain, ...], instance: str) -> Iterator[str]:
    for (table, hook), base in _BASES.items():
        entered = [chain for chain in chains if chain.hook is hook and chain.table is table]
        if not entered and not ((table, hook) == (Table.NAT, Hook.PREROUTING) and _fails_closed(chains)):
            continue
        yield f"  chain {table.value}_{hook.value.lower()} {{"
        yield f"    {base}"
        for chain in entered:
            target = _name(chain.family, chain.name)
            yield f'    meta nfproto ipv{chain.family.value} jump {target} comment "{_comment(instance, _SHARED)}"'
        yield "  }"


def _fails_closed(chains: tuple[Chain, ...]) -> bool:
    """Whether TPROXY captures and fails closed: then address translation stays switched on, by a chain without rules.

    A connection that was captured by REDIRECT before is translated only as long as somebody has such a chain; without
    it, its packets would go on to where they were meant, in the clear.
    """
    verdicts = [rule.verdict for chain in chains for rule in chain.rules]
    return any(isinstance(verdict, Tproxy) and not verdict.pass_on for verdict in verdicts)


def _asks_for_socket(chain: Chain) -> bool:
    return any(rule.match is not None and rule.match.transparent_socket for rule in chain.rules)


def _socket_chains(chain: Chain, instance: str) -> Iterator[str]:
    """For each rule about a transparent socket a chain that decides whether that socket listens on a wildcard.

    Not in the rule itself: `socket wildcard` does not match at all for a socket that is still shaking hands, so with
    `socket transparent 1 socket wildcard 0` the handshake's last ACK would be lost.
    """
    for number, rule in enumerate(chain.rules):
        if rule.match is not None and rule.match.transparent_socket:
            yield f"  chain {_socket_chain(chain, number)} {{"
            yield f'    socket wildcard 1 return comment "{_comment(instance, _SHARED)}"'
            yield f"    {_VERDICTS[type(rule.verdict)](rule.verdict, chain.family)}"
            yield "  }"


def _socket_chain(chain: Chain, number: int) -> str:
    return f"{_name(chain.family, chain.name)}_socket{number}"


def _rule(rule: Rule, chain: Chain, instance: str) -> str:
    parts = [] if rule.match is None else list(_match(rule.match, chain.family))
    if rule.match is not None and rule.match.transparent_socket:
        parts.append(f"jump {_socket_chain(chain, chain.rules.index(rule))}")
    else:
        parts.append(_VERDICTS[type(rule.verdict)](rule.verdict, chain.family))
    return f'{" ".join(parts)} comment "{_comment(instance, rule.service or _SHARED)}"'


def _match(match: Match, family: Family) -> Iterator[str]:
    yield from _addresses(match, _PROTOCOLS[family])
    if match.syn:
        yield _SYN
    if match.ports is not None:
        yield f"tcp dport {'-'.join(map(str, sorted(set(match.ports))))}"
    for what, mark in (("meta", match.mark), ("ct", match.connection_mark)):
        if mark is not None:
            yield f"{what} mark & {mark.mask:#x} == {mark.value:#x}"
    if match.direction is not None:
        yield f"ct direction {match.direction.value.lower()}"
    for holds, text in (
        (match.invalid, "ct state invalid"),
        (match.unknown, "ct state new"),
        (match.local_destination, "fib daddr type local"),
        (match.transparent_socket, "socket transparent 1"),
    ):
        if holds:
            yield text


def _addresses(match: Match, protocol: str) -> Iterator[str]:
    if match.interface is not None:
        yield f'iifname "{match.interface}"'
    elif match.outside:
        yield 'iifname != "lo"'
    if match.tcp and match.ports is None and not match.syn:
        yield "meta l4proto tcp"
    for side, network in (("saddr", match.source), ("daddr", match.destination)):
        if network is not None and ipaddress.ip_network(network).prefixlen:
            yield f"{protocol} {side} {network}"


def _marked(what: str, mark: Mark) -> str:
    """Sets the bits under the mask, and no others."""
    return f"{what} mark set {what} mark & {mark.mask ^ 0xFFFFFFFF:#x} | {mark.value:#x}"


def _tproxy(verdict: Tproxy, family: Family) -> str:
    host = "" if ipaddress.ip_address(verdict.host).is_unspecified else _bracketed(verdict.host)
    to = f"tproxy {_PROTOCOLS[family]} to {host}:{verdict.port}"
    return f"{to} {_marked('meta', verdict.mark)} counter accept"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


_VERDICTS: Mapping[type, Callable[[Any, Family], str]] = {
    Accept: lambda _verdict, _family: "accept",
    Return: lambda _verdict, _family: "return",
    Drop: lambda _verdict, _family: "counter drop",
    Jump: lambda verdict, family: f"jump {_name(family, verdict.chain)}",
    SetMark: lambda verdict, _family: _marked("meta", verdict.mark),
    SetConnectionMark: lambda verdict, _family: _marked("ct", verdict.mark),
    Tproxy: _tproxy,
    Redirect: lambda verdict, _family: f"counter redirect to :{verdict.port}",
    Dnat: lambda verdict, family: f"counter dnat {_PROTOCOLS[family]} to {_bracketed(verdict.host)}:{verdict.port}",
}
