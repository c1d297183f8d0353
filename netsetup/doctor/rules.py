"""Rules of firewalls, whatever language they were written in, and the walk of a packet through them.

A rule is conditions and what happens when all hold. Where a condition is UNKNOWN both ways are possible: the walk
notes what the rule may do, and goes on. So a walk has an ending that is certain - a rule that surely matches, or the
chain's policy - and before it perhaps some that are only possible.
"""

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from netsetup.doctor.packet import Packet, Truth, all_of
from netsetup.state import Family

Condition = Callable[[Packet], Truth]
NewMark = Callable[[int | None], int | None]

_DEEPEST = 32
"""Jumps within jumps. The kernel allows 16 (nftables); a loop cannot be loaded, but may be read while it changes."""


class Action(enum.Enum):
    """What a rule does. Those after NOTHING end the walk through a base chain, but for MARK and UNTRACK."""

    NOTHING = enum.auto()
    JUMP = enum.auto()
    GOTO = enum.auto()
    RETURN = enum.auto()
    MARK = enum.auto()
    UNTRACK = enum.auto()
    ACCEPT = enum.auto()
    DROP = enum.auto()
    REWRITE = enum.auto()
    OURS = enum.auto()


_PASSING = (Action.MARK, Action.UNTRACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`text`: as its own tool shows it. `chain`: for JUMP and GOTO; `new_mark`: for MARK."""

    text: str
    conditions: tuple[Condition, ...] = ()
    action: Action = Action.NOTHING
    chain: str = ""
    new_mark: NewMark | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseChain:
    """A chain that the kernel enters. `place`: for people. `hook` in lower case. `nat`: it sees only a connection's
    first packet. `chains`: the others of its table. `ours`: all of it is this instance's.
    `devices`: it sees packets of these interfaces only (none: of all;
    None: nft before 1.0.7 does not say of which)."""

    place: str
    families: tuple[Family, ...]
    hook: str
    priority: int
    rules: tuple[Rule, ...]
    policy: Action = Action.ACCEPT
    policy_text: str = "policy drop"
    nat: bool = False
    legacy: bool = False
    chains: Mapping[str, tuple[Rule, ...]] = field(default_factory=dict)
    ours: bool = False
    devices: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to a packet. `certain`: all conditions were understood and hold."""

    action: Action
    text: str
    certain: bool
    mark: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """`events` in order; the last is the certain ending. `packet`: as it leaves."""

    chain: BaseChain
    events: tuple[Event, ...]
    packet: Packet

    def of(self, *actions: Action) -> tuple[Event, ...]:
        """The events with one of these actions."""
        return tuple(event for event in self.events if event.action in actions)

    @property
    def dropped(self) -> Truth:
        """YES where nothing else is possible."""
        endings = {event.action is Action.DROP for event in self.events if event.action not in _PASSING}
        if endings == {True}:
            return Truth.YES
        return Truth.UNKNOWN if True in endings else Truth.NO


def walk(chain: BaseChain, packet: Packet) -> Walk:
    """The packet's way through one base chain."""
    walker = _Walker(chain, packet)
    ended = walker.through(chain.rules, certain=True, depth=0)
    if not ended:
        walker.note(chain.policy, f"{chain.place}: {chain.policy_text}", certain=True)
    return Walk(chain=chain, events=tuple(walker.events), packet=walker.packet)


def at_hook(chains: tuple[BaseChain, ...], hook: str, packet: Packet) -> Iterator[BaseChain]:
    """The base chains that the packet meets there, in order. Address translation looks at new connections only."""
    met = [chain for chain in chains if chain.hook == hook and packet.family in chain.families]
    for chain in sorted(met, key=lambda chain: chain.priority):
        if (not chain.nat or packet.state == "new") and (not chain.devices or packet.iif in chain.devices):
            yield chain


class _Walker:
    def __init__(self, chain: BaseChain, packet: Packet) -> None:
        self._chain = chain
        self.packet = packet
        self.events: list[Event] = []

    def note(self, action: Action, text: str, *, certain: bool, mark: int | None = None) -> None:
        self.events.append(Event(action=action, text=text, certain=certain, mark=mark))

    def through(self, rules: tuple[Rule, ...], *, certain: bool, depth: int) -> bool:
        """Whether the walk has surely ended within these rules."""
        left = False  # a RETURN may have been taken: nothing behind it is certain
        for rule in rules:
            holds = all_of(condition(self.packet) for condition in rule.conditions)
            if holds is Truth.NO or rule.action is Action.NOTHING:
                continue
            sure = certain and not left and holds is Truth.YES
            if rule.action is Action.RETURN:
                if holds is Truth.YES:
                    return False
                left = True
            elif rule.action in (Action.JUMP, Action.GOTO):
                called = self._chain.chains.get(rule.chain, ())
                ended = depth < _DEEPEST and self.through(called, certain=sure, depth=depth + 1)
                if holds is Truth.YES and (ended or rule.action is Action.GOTO):
                    return ended and not left
            elif rule.action in _PASSING:
                self._pass(rule, sure=sure)
            else:
                self.note(rule.action, f"{self._chain.place}: {rule.text}", certain=sure)
                if holds is Truth.YES:
                    return not left
        return False

    def _pass(self, rule: Rule, *, sure: bool) -> None:
        mark = self.packet.mark
        if rule.new_mark is not None:
            mark = rule.new_mark(self.packet.mark)
        self.note(rule.action, f"{self._chain.place}: {rule.text}", certain=sure, mark=mark)
        if rule.action is Action.MARK:
            unsure = mark if sure or mark == self.packet.mark else None
            self.packet = replace(self.packet, mark=unsure)
