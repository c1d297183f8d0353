"""What others' rules may do to a packet, how bad that is, and what to do about it."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from netsetup.doctor.findings import Severity
from netsetup.doctor.flows import Flow, Way
from netsetup.doctor.packet import Packet, Truth
from netsetup.doctor.rules import Action, BaseChain, Walk
from netsetup.model import Marks


class Kind(enum.Enum):
    """What is done to packets, how bad that is, and what comes of it."""

    DROPPED = "are dropped", Severity.ERROR, "connections time out, or are refused"
    KEPT_FROM_US = "never reach our rules", Severity.ERROR, "nothing is captured"
    TAKEN = "are taken by another rule first", Severity.ERROR, "connections go where that rule sends them"
    REWRITTEN = (
        "are rewritten by another rule as well",
        Severity.WARNING,
        ("what the proxy gets may have lost its destination, or goes elsewhere"),
    )
    UNMARKED = "lose our mark", Severity.ERROR, "packets are routed on instead of reaching the proxy"
    UNTRACKED = "are not tracked", Severity.ERROR, "neither destinations nor answers are rewritten"
    HIDDEN = (
        "get another source address",
        Severity.WARNING,
        ("servers see that address instead of the client's"),
    )

    def __init__(self, what: str, severity: Severity, effect: str) -> None:
        self.what = what
        self.severity = severity
        self.effect = effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """Something that others' rules do. `certain`: not merely possible. `packets`: which, for people."""

    kind: Kind
    packets: str
    rule: str
    packet: Packet
    fix: str
    certain: bool = True


def dropped(flow: Flow, done: Walk, packets: str, marks: tuple[int, int] | None = None) -> Iterator[Obstacle]:
    """What a walk says of being dropped. `marks`: ours and its mask, for packets at INPUT."""
    for event in done.of(Action.DROP) if done.dropped is not Truth.NO else ():
        if event.certain or done.dropped is Truth.UNKNOWN:
            yield Obstacle(
                kind=Kind.DROPPED,
                packets=packets,
                rule=event.text,
                packet=done.packet,
                fix=_to_accept(flow, done.chain, marks),
                certain=done.dropped is Truth.YES and done.chain.devices is not None,
            )


def _to_accept(flow: Flow, chain: BaseChain, marks: tuple[int, int] | None) -> str:
    if marks is None or chain.hook != "input":
        return f"let {chain.place} accept these packets before that rule"
    value, mask = marks
    if flow.way is Way.TPROXY:
        return (
            "accept what carries our mark before that rule, for TPROXY's packets keep their original destination: "
            f"`-m mark --mark {value:#x}/{mask:#x} -j ACCEPT` (iptables), "
            f"`meta mark & {mask:#x} == {value:#x} accept` (nft)"
        )
    port = flow.listener.port
    return (
        f"accept TCP port {port} before that rule: `-p tcp --dport {port} -j ACCEPT`, `tcp dport {port} accept` (nft)"
    )


def hidden(flow: Flow, done: Walk, marks: Marks) -> Iterator[Obstacle]:
    """Rules that give the proxy's connections another source address."""
    for event in done.of(Action.REWRITE):
        if event.certain:
            yield Obstacle(
                kind=Kind.HIDDEN,
                packets=f"the proxy's connections by {done.packet.oif}",
                rule=event.text,
                packet=done.packet,
                fix="except what carries our own mark from that rule: "
                f"`-m mark ! --mark {marks.own:#x}/{marks.mask:#x}`, `meta mark & {marks.mask:#x} != {marks.own:#x}` "
                "(nft); or "
                f"`transparent = {'destination' if flow.capture is not None else 'none'}` where that is enough",
            )
