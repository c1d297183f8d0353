"""Rules as iptables-save(8) prints them, read as `rules`: legacy iptables, and iptables-nft.

What is not known here - a match's option, a target - makes a condition UNKNOWN; nothing is guessed.
"""

import shlex
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from netsetup.doctor.packet import Packet, Truth, any_of, truth
from netsetup.doctor.rules import Action, BaseChain, Condition, NewMark, Rule
from netsetup.doctor.values import in_addresses, in_network, in_range, is_interface, number
from netsetup.state import Family

_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_NAT = {"PREROUTING": -100, "OUTPUT": -100, "INPUT": 100, "POSTROUTING": 100}
_BUILT_IN = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_POLICIES = {"DROP": Action.DROP, "ACCEPT": Action.ACCEPT}


def parse(text: str, program: str, family: Family, instance: str) -> tuple[BaseChain, ...]:
    """The base chains of all tables. `program` printed it; chains named after `instance` are ours."""
    found: list[BaseChain] = []
    for table, lines in _tables(text):
        policies: dict[str, str] = {}
        rules: dict[str, list[Rule]] = {}
        for line in lines:
            if line.startswith(":"):
                name, policy = line[1:].split()[:2]
                policies[name] = policy
                rules.setdefault(name, [])
            elif line.startswith("-A "):
                chain, rule = _rule(line, policies, family, f"{instance}.")
                rules.setdefault(chain, []).append(rule)
        chains = {name: tuple(some) for name, some in rules.items()}
        found += [
            BaseChain(
                place=f"{program} -t {table}",
                families=(family,),
                hook=name.lower(),
                priority=_NAT[name] if table == "nat" else _PRIORITIES[table],
                rules=chains[name],
                policy=_POLICIES.get(policies[name], Action.ACCEPT),
                policy_text=f"-P {name} {policies[name]}",
                nat=table == "nat",
                legacy=program.endswith("legacy"),
                chains=chains,
            )
            for name in policies
            if name in _BUILT_IN and (table in _PRIORITIES or (table == "nat" and name in _NAT))
        ]
    return tuple(found)


def _tables(text: str) -> Iterator[tuple[str, list[str]]]:
    table, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith("*"):
            table, lines = line[1:].strip(), []
        elif line.strip() == "COMMIT":
            yield table, lines
        elif table:
            lines.append(line)


@dataclass(slots=True)
class _Reading:
    """A rule while it is read."""

    family: Family
    conditions: list[Condition] = field(default_factory=list)
    understood: bool = True
    target: str = ""
    goto: bool = False
    arguments: dict[str, str] = field(default_factory=dict)


def _rule(line: str, chains: Mapping[str, str], family: Family, ours: str) -> tuple[str, Rule]:
    # Counters ("[12:3456] -A") are not asked for.
    words = shlex.split(line)
    chain, words = words[1], words[2:]
    reading = _Reading(family)
    position = 0
    while position < len(words):
        negated = words[position] == "!"
        position += negated
        flag = words[position]
        position += 1
        values: list[str] = []
        while position < len(words) and not words[position].startswith("-") and words[position] != "!":
            values.append(words[position])
            position += 1
        _take(reading, flag, values, negated=negated)
    return chain, _finished(line, reading, chains, ours)


def _take(reading: _Reading, flag: str, values: list[str], *, negated: bool) -> None:
    if flag in ("-j", "-g"):
        reading.target, reading.goto = values[0] if values else "", flag == "-g"
    elif reading.target:
        reading.arguments[flag] = " ".join(values)
    elif flag == "-m" and values == ["rpfilter"]:
        reading.understood = True
        reading.conditions.append(lambda packet: truth(packet.symmetric))
    elif flag == "--loose":
        # Any way back will do: whether there is one is known only if it is this one.
        reading.conditions[-1] = lambda packet: truth(packet.symmetric or None)
    elif flag == "--invert":
        reading.conditions[-1] = _inverted(reading.conditions[-1])
    elif flag == "-m":
        reading.understood = bool(values) and values[0] in _KNOWN_MATCHES
        if not reading.understood:
            # Once for the whole match: it may have no option at all, and its options may be called like another's.
            reading.conditions.append(lambda _packet: Truth.UNKNOWN)
    elif flag not in _SILENT and (reading.understood or flag in _BASIC):
        test = _TESTS.get(flag)
        condition = None if test is None else test(values, reading.family)
        if condition is None:
            reading.conditions.append(lambda _packet: Truth.UNKNOWN)
        else:
            reading.conditions.append(_inverted(condition) if negated else condition)


def _inverted(condition: Condition) -> Condition:
    return lambda packet: ~condition(packet)


def _finished(line: str, reading: _Reading, chains: Mapping[str, str], ours: str) -> Rule:
    conditions = tuple(reading.conditions)
    target = reading.target
    if target.startswith(ours):
        return Rule(text=line, conditions=conditions, action=Action.OURS)
    if target in chains:
        return Rule(text=line, conditions=conditions, action=Action.GOTO if reading.goto else Action.JUMP, chain=target)
    if target in ("MARK", "CONNMARK"):
        change = _mark(reading.arguments) if target == "MARK" else _restored(reading.arguments)
        if change is not None:
            return Rule(text=line, conditions=conditions, action=Action.MARK, new_mark=change)
    if target == "CT":
        action = Action.UNTRACK if "--notrack" in reading.arguments else Action.NOTHING
        return Rule(text=line, conditions=conditions, action=action)
    if target in ("QUEUE", "NFQUEUE"):
        # What another program says to it is not known.
        return Rule(text=line, conditions=(*conditions, lambda _packet: Truth.UNKNOWN), action=Action.DROP)
    return Rule(text=line, conditions=conditions, action=_TARGETS.get(target, Action.NOTHING))


_TARGETS = {
    "ACCEPT": Action.ACCEPT,
    "DROP": Action.DROP,
    "REJECT": Action.DROP,
    "TARPIT": Action.DROP,
    "RETURN": Action.RETURN,
    "NOTRACK": Action.UNTRACK,
    "DNAT": Action.REWRITE,
    "REDIRECT": Action.REWRITE,
    "NETMAP": Action.REWRITE,
    "SNAT": Action.REWRITE,
    "MASQUERADE": Action.REWRITE,
    "TPROXY": Action.REWRITE,
}


def _mark(arguments: Mapping[str, str]) -> NewMark | None:
    """iptables-save prints every kind of change as --set-xmark."""
    if "--set-xmark" not in arguments:
        return None
    value, mask = _mark_value(arguments["--set-xmark"])
    # A mark that is not known is known afterwards if all of it is set.
    return lambda old: value if mask == _ALL else None if old is None else (old & ~mask) ^ value


def _restored(arguments: Mapping[str, str]) -> NewMark | None:
    if "--restore-mark" not in arguments:
        return None
    mask = number(arguments.get("--nfmask", hex(_ALL))) or _ALL
    # The connection's mark is not known, only which bits stay as they are; 0 there is what a new connection has.
    return lambda old: None if old is None else old & ~mask


_ALL = 0xFFFFFFFF


def _mark_value(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else _ALL


def _word_of(text: str) -> int | None:
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        return None


def _port(read: Callable[[Packet], int | None]) -> Callable[[list[str], Family], Condition | None]:
    def test(values: list[str], _family: Family) -> Condition | None:
        ranges = []
        for part in values[0].split(","):
            first, colon, last = part.partition(":")
            ranges.append(
                (number(first or "0", _word_of), number((last or "65535") if colon else first, _word_of)),
            )
        return lambda packet: any_of(in_range(read(packet), low, high) for low, high in ranges)

    return test


def _network(read: Callable[[Packet], str | None]) -> Callable[[list[str], Family], Condition | None]:
    return lambda values, _family: lambda packet: any_of(in_network(read(packet), one) for one in values[0].split(","))


def _addresses(read: Callable[[Packet], str | None]) -> Callable[[list[str], Family], Condition | None]:
    return lambda values, _family: lambda packet: in_addresses(read(packet), *values[0].split("-", 1))


def _interface(read: Callable[[Packet], str | None]) -> Callable[[list[str], Family], Condition | None]:
    return lambda values, _family: lambda packet: is_interface(read(packet), values[0], "+")


def _protocol(values: list[str], _family: Family) -> Condition | None:
    return lambda _packet: truth(values[0].lower() in ("tcp", "6", "all", "0"))


def _state(values: list[str], _family: Family) -> Condition | None:
    names = values[0].lower().split(",")
    known = {"new", "established", "related", "invalid", "untracked", "dnat"}

    def test(packet: Packet) -> Truth:
        if packet.state in names or (packet.rewritten and "dnat" in names):
            return Truth.YES
        return truth(False if set(names) <= known else None)

    return test


def _mark_is(values: list[str], _family: Family) -> Condition | None:
    value, mask = _mark_value(values[0])
    return lambda packet: truth(None if packet.mark is None else packet.mark & mask == value)


def _flags(values: list[str], _family: Family) -> Condition | None:
    if len(values) != 2:
        return None
    looked_at, wanted = (set(value.split(",")) for value in values)
    looked_at = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"} if "ALL" in looked_at else looked_at
    return lambda packet: truth(({"SYN"} & looked_at == wanted - {"NONE"}) if packet.syn else None)


def _destination_type(values: list[str], _family: Family) -> Condition | None:
    kinds = values[0].split(",")

    def test(packet: Packet) -> Truth:
        if packet.to_here is None:
            return Truth.UNKNOWN
        if packet.to_here:
            return truth("LOCAL" in kinds)
        # It may be any kind of address that is not ours, but a TCP connection's is no broadcast or multicast one.
        return truth(None if {"UNICAST", "UNREACHABLE", "BLACKHOLE", "PROHIBIT"} & set(kinds) else False)

    return test


_SILENT = ("--comment", "--validmark", "--accept-local")
"""What is no condition by itself."""

_BASIC = ("-s", "-d", "-i", "-o", "-p")
"""Options that belong to no match."""

_KNOWN_MATCHES = frozenset({"tcp", "multiport", "iprange", "conntrack", "state", "mark", "addrtype", "comment", "udp"})
"""Matches whose options are in `_TESTS`."""

_TESTS: Mapping[str, Callable[[list[str], Family], Condition | None]] = {
    "-s": _network(lambda packet: packet.source),
    "-d": _network(lambda packet: packet.destination),
    "-i": _interface(lambda packet: packet.iif),
    "-o": _interface(lambda packet: packet.oif),
    "-p": _protocol,
    "--dport": _port(lambda packet: packet.dport),
    "--sport": _port(lambda packet: packet.sport),
    "--dports": _port(lambda packet: packet.dport),
    "--sports": _port(lambda packet: packet.sport),
    "--src-range": _addresses(lambda packet: packet.source),
    "--dst-range": _addresses(lambda packet: packet.destination),
    "--ctstate": _state,
    "--state": _state,
    "--mark": _mark_is,
    "--tcp-flags": _flags,
    "--dst-type": _destination_type,
}
