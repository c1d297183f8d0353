"""What nftables' expressions look at in a packet, and how that is compared (libnftables-json(5))."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from netsetup.doctor.packet import Packet, Truth, truth
from netsetup.doctor.rules import Condition
from netsetup.doctor.values import in_addresses, in_network, in_range, is_interface, number
from netsetup.state import Family

MARK = {"meta": {"key": "mark"}}

Compare = Callable[[Any, Any], Truth]


def unknown(_packet: Packet) -> Truth:
    """What is not understood."""
    return Truth.UNKNOWN


def unwrapped(element: Any) -> Any:
    """An element without its timeout, counter or comment."""
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def in_number(value: int | None, wanted: Any) -> Truth:
    """Whether a number is the wanted one, or in the wanted range."""
    if isinstance(wanted, dict) and "range" in wanted:
        return in_range(value, *wanted["range"])
    return in_range(value, wanted, wanted)


def _in_address(value: str | None, wanted: Any) -> Truth:
    if isinstance(wanted, str):
        return in_network(value, wanted)
    if isinstance(wanted, dict) and "prefix" in wanted:
        return in_network(value, f"{wanted['prefix']['addr']}/{wanted['prefix']['len']}")
    if isinstance(wanted, dict) and "range" in wanted:
        return in_addresses(value, *wanted["range"])
    return Truth.UNKNOWN


def _in_word(value: str | None, wanted: Any) -> Truth:
    return truth(None if value is None or not isinstance(wanted, str | int) else str(wanted) in value.split("|"))


def _in_interface(value: str | None, wanted: Any) -> Truth:
    return is_interface(value, wanted, "*") if isinstance(wanted, str) else Truth.UNKNOWN


Field = tuple[Callable[[Packet], Any], Compare]


def field_of(left: Any) -> Field | None:
    """How to read the field of a packet that an expression names, and how to compare it. None: not known here."""
    if not isinstance(left, dict):
        return None
    kind, value = next(iter(left.items()))
    find = _KINDS.get(kind)
    return None if find is None else find(value)


def _fib(value: Any) -> Field | None:
    flags = value.get("flags", ())
    if value.get("result") == "type" and flags in ("daddr", ["daddr"]):
        return (lambda packet: packet), _destination_type
    if value.get("result") == "oif" and {"saddr", "iif"} <= set(flags):
        return (lambda packet: packet), _way_back
    return None


def _destination_type(packet: Packet, wanted: Any) -> Truth:
    if packet.to_here is None:
        return Truth.UNKNOWN
    if wanted == "local":
        return truth(packet.to_here)
    return truth(None if not packet.to_here and wanted not in ("broadcast", "multicast", "anycast") else False)


def _status(rewritten: bool, wanted: Any) -> Truth:
    return truth(rewritten if wanted == "dnat" else None)


def _way_back(packet: Packet, wanted: Any) -> Truth:
    """`fib saddr . iif oif missing` is `false` in JSON: no way back by this interface."""
    if not isinstance(wanted, bool):
        return Truth.UNKNOWN
    return truth(packet.symmetric) if wanted else ~truth(packet.symmetric)


def _address(family: Family, read: Callable[[Packet], str | None]) -> Field:
    """A packet of the other IP version never matches."""

    def compare(packet: Packet, wanted: Any) -> Truth:
        return _in_address(read(packet), wanted) if packet.family is family else Truth.NO

    return (lambda packet: packet), compare


def _never(_packet: Packet) -> str:
    return ""


_VERSIONS = {Family.IPV4: "ipv4|ip|2", Family.IPV6: "ipv6|ip6|10"}

_CT: Mapping[Any, Field] = {
    "state": (lambda packet: packet.state, _in_word),
    "status": (lambda packet: packet.rewritten, _status),
}

_META: Mapping[Any, Field] = {
    "iifname": (lambda packet: packet.iif, _in_interface),
    "iif": (lambda packet: packet.iif, _in_interface),
    "oifname": (lambda packet: packet.oif, _in_interface),
    "oif": (lambda packet: packet.oif, _in_interface),
    "l4proto": (lambda _packet: "tcp|6", _in_word),
    "nfproto": (lambda packet: _VERSIONS[packet.family], _in_word),
    "protocol": (lambda packet: _VERSIONS[packet.family], _in_word),
}

_PAYLOAD: Mapping[tuple[Any, Any], Field] = {
    ("ip", "saddr"): _address(Family.IPV4, lambda packet: packet.source),
    ("ip", "daddr"): _address(Family.IPV4, lambda packet: packet.destination),
    ("ip6", "saddr"): _address(Family.IPV6, lambda packet: packet.source),
    ("ip6", "daddr"): _address(Family.IPV6, lambda packet: packet.destination),
    ("ip", "protocol"): (lambda packet: "tcp|6" if packet.family is Family.IPV4 else "", _in_word),
    ("ip6", "nexthdr"): (lambda packet: "tcp|6" if packet.family is Family.IPV6 else "", _in_word),
    ("tcp", "dport"): (lambda packet: packet.dport, in_number),
    ("tcp", "sport"): (lambda packet: packet.sport, in_number),
    ("th", "dport"): (lambda packet: packet.dport, in_number),
    ("th", "sport"): (lambda packet: packet.sport, in_number),
    **{
        (protocol, field): (_never, _in_word)
        for protocol in ("udp", "udplite", "sctp", "dccp")
        for field in ("dport", "sport")
    },
    ("icmp", "type"): (_never, _in_word),
    ("icmpv6", "type"): (_never, _in_word),
}

_KINDS: Mapping[str, Callable[[Any], Field | None]] = {
    "meta": lambda value: _META.get(value.get("key")),
    "ct": lambda value: _CT.get(value.get("key")),
    "fib": _fib,
    "payload": lambda value: _PAYLOAD.get((value.get("protocol"), value.get("field"))),
}

_TCP_FLAGS = {"payload": {"protocol": "tcp", "field": "flags"}}


def is_flags(left: Any) -> bool:
    """Whether an expression is TCP's flags, perhaps under a mask."""
    return bool(left == _TCP_FLAGS or (isinstance(left, dict) and "&" in left and left["&"][0] == _TCP_FLAGS))


def flags_test(left: Any, right: Any) -> Condition | None:
    """`tcp flags & (fin|syn) == syn`, and `tcp flags syn`, which is "in": any of them."""
    wanted = _names(right)
    if wanted is None:
        return None
    if left == _TCP_FLAGS:
        return lambda packet: truth("syn" in wanted if packet.syn else None)
    mask = _names(left["&"][1])
    if mask is None:
        return None
    return lambda packet: truth(({"syn"} & mask) == wanted if packet.syn else None)


def _names(value: Any) -> set[str] | None:
    if isinstance(value, str):
        return {value}
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return set(value)
    if isinstance(value, dict) and "|" in value:
        parts = [_names(one) for one in value["|"]]
        return None if None in parts else {name for part in parts if part for name in part}
    return set() if value == 0 else None


def is_mark(left: Any) -> bool:
    """Whether an expression is the packet's mark, perhaps under a mask."""
    return left == MARK or (isinstance(left, dict) and "&" in left and left["&"][0] == MARK)


def number_of(expression: Any, mark: int | None) -> int | None:
    """A number, or one computed from the packet's mark. None: not known."""
    if isinstance(expression, int):
        return expression
    if isinstance(expression, str):
        return number(expression)
    if not isinstance(expression, dict):
        return None
    if expression == MARK:
        return mark
    return _computed(expression, mark)


def _computed(expression: dict[str, Any], mark: int | None) -> int | None:
    operator, operands = next(iter(expression.items()))
    if operator not in _OPERATORS:
        return None
    values = [number_of(one, mark) for one in operands]
    return None if None in values else functools.reduce(_OPERATORS[operator], values)


_OPERATORS: Mapping[str, Callable[[Any, Any], int]] = {
    "&": lambda one, other: one & other,
    "|": lambda one, other: one | other,
    "^": lambda one, other: one ^ other,
}
