"""Chains in the language of iptables: dictionaries as python-iptables decodes them from the kernel, and text.

The dictionaries are written exactly as `iptc.easy.decode_iptc_rule` returns them; the child process demands that
encoding and decoding gives the same again, because the encoder silently leaves out what it does not understand.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from netsetup.backends.contract import Content, Image
from netsetup.backends.legacy import PROGRAMS
from netsetup.errors import BackendError
from netsetup.state import (
    Accept,
    Chain,
    Dnat,
    Drop,
    Family,
    Jump,
    Match,
    Redirect,
    Return,
    Rule,
    SetConnectionMark,
    SetMark,
    Tproxy,
    Verdict,
)

RuleDict = dict[str, Any]
Tables = dict[str, Any]
"""A unit's data: {"chains": {name: [rule, ...]}, "hooks": {built-in chain: [rule, ...]}}."""

_SHARED = "shared"  # what the comment says where a rule serves all services
_MAX_COMMENT = 100  # xt_comment has 256 bytes and cuts silently; a service's name is not worth more
_ORDER = ("protocol", "src", "dst", "in-interface", "tcp", "mark", "connmark", "conntrack", "addrtype", "socket")
_SYN = ["FIN,SYN,RST,ACK", "SYN"]


def unit_name(family: Family, table: str) -> str:
    """The unit of a table: "iptables-legacy mangle"."""
    return f"{PROGRAMS[family]} {table}"


def unit_parts(unit: str) -> tuple[Family, str]:
    """The reverse of `unit_name`."""
    program, table = unit.split()
    return next(family for family, name in PROGRAMS.items() if name == program), table


def render(chains: tuple[Chain, ...], instance: str) -> Image:
    """The image of `chains`, whose names get the instance's name in front."""
    tables: dict[str, Tables] = {}
    for chain in chains:
        table = tables.setdefault(unit_name(chain.family, chain.table.value), {"chains": {}, "hooks": {}})
        name = f"{instance}.{chain.name}"
        table["chains"][name] = [_rule(rule, chain.family, instance) for rule in chain.rules]
        if chain.hook is not None:
            hook = {"comment": {"comment": f"{instance}:{_SHARED}"}, "target": name}
            table["hooks"].setdefault(chain.hook.value, []).append(hook)
    return {unit: content(unit, data) for unit, data in tables.items()}


def content(unit: str, data: Tables) -> Content:
    """Canonical form of a unit's data, rendered or read."""
    data = {kind: {name: [_ordered(rule) for rule in data[kind][name]] for name in sorted(data[kind])} for kind in data}
    lines = [f"-N {chain}" for chain in data["chains"]]
    lines += [f"-A {chain} {rule_text(rule)}" for chain, rules in data["chains"].items() for rule in rules]
    lines += [f"-I {chain} {rule_text(rule)}" for chain, rules in data["hooks"].items() for rule in rules]
    program, table = unit.split()
    return Content(json.dumps(data), tuple(f"{program} -t {table} {line}" for line in lines))


def restore(unit: str, before: Content | None, after: Content | None) -> tuple[str, ...]:
    """What iptables-legacy-restore(8) has to be given, with --noflush, to get from one content to the other."""
    _, table = unit.split()
    old: Tables = {"chains": {}, "hooks": {}} if before is None else json.loads(before.data)
    new: Tables = {"chains": {}, "hooks": {}} if after is None else json.loads(after.data)
    gone = [name for name in old["chains"] if name not in new["chains"]]
    return (
        f"*{table}",
        # Declaring a chain empties it, so all are declared before any rule speaks of them.
        *(f":{name} - [0:0]" for name in (*new["chains"], *gone)),
        *(f"-D {chain} {rule_text(rule)}" for chain, rules in old["hooks"].items() for rule in rules),
        *(f"-A {chain} {rule_text(rule)}" for chain, rules in new["chains"].items() for rule in rules),
        *(f"-I {chain} {rule_text(rule)}" for chain, rules in new["hooks"].items() for rule in reversed(rules)),
        *(f"-X {name}" for name in gone),
        "COMMIT",
    )


def _ordered(value: Any, keys: tuple[str, ...] = _ORDER) -> Any:
    """Dictionaries with their keys in one order: that in which the kernel checks the matches, cheap ones first."""
    if isinstance(value, list):
        return [_ordered(one, ()) for one in value]
    if not isinstance(value, dict):
        return value
    names = sorted(value, key=lambda name: (keys.index(name) if name in keys else len(keys), name))
    return {name: _ordered(value[name], ()) for name in names}


def _rule(rule: Rule, family: Family, instance: str) -> RuleDict:
    written: RuleDict = {} if rule.match is None else _match(rule.match, family)
    written["comment"] = {"comment": _comment(instance, rule.service or _SHARED)}
    written["target"] = _target(rule.verdict, instance)
    return written


def _comment(instance: str, service: str) -> str:
    """`instance:service`, without what iptables would quote or cut."""
    return f"{instance}:{re.sub(r'[^A-Za-z0-9_.:-]', '_', service)}"[:_MAX_COMMENT]


def _match(match: Match, family: Family) -> RuleDict:
    found: RuleDict = {"protocol": "tcp"} if match.tcp else {}
    if match.interface is not None:
        found["in-interface"] = match.interface
    elif match.outside:
        found["in-interface"] = "!lo"
    tcp: dict[str, Any] = {}
    if match.ports is not None:
        first, last = match.ports
        tcp["dport"] = str(first) if first == last else f"{first}:{last}"
    if match.syn:
        tcp["tcp-flags"] = list(_SYN)
    parts: dict[str, Any] = {
        "src": _network(match.source, family),
        "dst": _network(match.destination, family),
        "tcp": tcp,
        "socket": {"transparent": ""} if match.transparent_socket else None,
        "addrtype": {"dst-type": "LOCAL"} if match.local_destination else None,
        "mark": match.mark and {"mark": str(match.mark)},
        "connmark": match.connection_mark and {"mark": str(match.connection_mark)},
        "conntrack": _conntrack(match),
    }
    found.update({name: value for name, value in parts.items() if value})
    return found


def _conntrack(match: Match) -> dict[str, str]:
    wanted = {"ctdir": match.direction.value} if match.direction is not None else {}
    states = [state for state, holds in (("INVALID", match.invalid), ("NEW", match.unknown)) if holds]
    return wanted | ({"ctstate": ",".join(states)} if states else {})


def _network(text: str | None, family: Family) -> str | None:
    """As decoded: always with a length, and absent where it is everything."""
    if text is None:
        return None
    network = ipaddress.ip_network(text)
    return str(network) if network.prefixlen or network.version != family.value else None


def _target(verdict: Verdict, instance: str) -> str | dict[str, dict[str, str]]:
    target: str | dict[str, dict[str, str]] = _TARGETS[type(verdict)](verdict, instance)
    return target


def _tproxy(verdict: Tproxy) -> dict[str, dict[str, str]]:
    if verdict.pass_on:
        raise BackendError(
            backend="iptables",
            reason="its TPROXY drops what nobody listens for, so captureFailClosed = no cannot be had",
            instead="use netBackend = nftables, or captureFailClosed = yes",
        )
    return {"TPROXY": {"on-ip": verdict.host, "on-port": str(verdict.port), "tproxy-mark": str(verdict.mark)}}


def _dnat(verdict: Dnat) -> dict[str, dict[str, str]]:
    host = f"[{verdict.host}]" if ":" in verdict.host else verdict.host
    return {"DNAT": {"to-destination": f"{host}:{verdict.port}"}}


_TARGETS: Mapping[type, Callable[[Any, str], Any]] = {
    Accept: lambda _verdict, _instance: "ACCEPT",
    Return: lambda _verdict, _instance: "RETURN",
    Drop: lambda _verdict, _instance: "DROP",
    Jump: lambda verdict, instance: f"{instance}.{verdict.chain}",
    SetMark: lambda verdict, _instance: {"MARK": {"set-xmark": str(verdict.mark)}},
    SetConnectionMark: lambda verdict, _instance: {"CONNMARK": {"set-xmark": str(verdict.mark)}},
    Tproxy: lambda verdict, _instance: _tproxy(verdict),
    Redirect: lambda verdict, _instance: {"REDIRECT": {"to-ports": str(verdict.port)}},
    Dnat: lambda verdict, _instance: _dnat(verdict),
}

_BASIC = {"src": "-s", "dst": "-d", "in-interface": "-i", "out-interface": "-o", "protocol": "-p"}


def rule_text(rule: RuleDict) -> str:
    """A rule as iptables-legacy(8) would be given it. For reading: values come from the kernel or from `render`."""
    words: list[str] = []
    for name, flag in _BASIC.items():
        if name in rule:
            words += _flag(flag, str(rule[name]))
    for name, value in rule.items():
        if name in _BASIC or name == "target":
            continue
        for one in value if isinstance(value, list) else [value]:
            words += ["-m", name, *_parameters(one)]
    target = rule.get("target", "")
    if isinstance(target, dict):
        for name, value in target.items():
            words += ["-g", str(value)] if name == "goto" else ["-j", name, *_parameters(value)]
    elif target:
        words += ["-j", target]
    return " ".join(words)


def _parameters(value: object) -> list[str]:
    if not isinstance(value, dict):
        return [str(value)]
    words: list[str] = []
    for name, given in value.items():
        values = given if isinstance(given, list) else [given]
        words += _flag(f"--{name}", " ".join(str(one) for one in values))
    return words


def _flag(flag: str, value: str) -> list[str]:
    negated = value.startswith("!")
    words = ["!", flag] if negated else [flag]
    value = value.removeprefix("!").strip()
    return [*words, value] if value else words
