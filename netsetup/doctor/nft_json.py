"""nftables' rules as `nft -j list ruleset` prints them (libnftables-json(5)), read as `rules`.

Expressions that are not known here make a condition UNKNOWN, statements that are not known do nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netsetup.doctor import nft_text
from netsetup.doctor.nft_fields import (
    MARK,
    Compare,
    field_of,
    flags_test,
    in_number,
    is_flags,
    is_mark,
    number_of,
    unknown,
    unwrapped,
)
from netsetup.doctor.packet import Packet, Truth, all_of, any_of
from netsetup.doctor.rules import Action, BaseChain, Condition, Rule
from netsetup.state import Family

_FAMILIES = {
    "ip": (Family.IPV4,),
    "ip6": (Family.IPV6,),
    "inet": tuple(Family),
    "netdev": tuple(Family),
}
_POLICIES = {"drop": Action.DROP}
_HOOKS = ("ingress", "prerouting", "input", "output", "postrouting")


def parse(ruleset: Mapping[str, Any], instance: str, skip: frozenset[tuple[str, str]]) -> tuple[BaseChain, ...]:
    """The base chains of all tables but those in `skip` (family, name), which are read in another way."""
    sets: dict[tuple[str, str], dict[str, Any]] = {}
    rules: dict[tuple[str, str], dict[str, list[Rule]]] = {}
    items = [item for item in ruleset.get("nftables", []) if isinstance(item, dict)]
    for item in items:
        for kind in ("set", "map"):
            if kind in item:
                one = item[kind]
                sets.setdefault((one["family"], one["table"]), {})["@" + one["name"]] = one.get("elem", [])
    for item in items:
        if "rule" in item:
            rule = item["rule"]
            table = (rule["family"], rule["table"])
            made = _Maker(sets.get(table, {})).rules(rule)
            rules.setdefault(table, {}).setdefault(rule["chain"], []).extend(made)
    return tuple(
        _base(item["chain"], rules, instance)
        for item in items
        if "chain" in item
        and item["chain"].get("hook") in _HOOKS
        and item["chain"]["family"] in _FAMILIES
        and (item["chain"]["family"], item["chain"]["table"]) not in skip
    )


def _base(chain: Mapping[str, Any], rules: Mapping[tuple[str, str], Mapping[str, list[Rule]]], own: str) -> BaseChain:
    table = (chain["family"], chain["table"])
    chains = {name: tuple(some) for name, some in rules.get(table, {}).items()}
    return BaseChain(
        place=f"nft: {chain['family']} {chain['table']}",
        families=_FAMILIES[chain["family"]],
        hook=chain["hook"],
        priority=chain.get("prio", 0),
        rules=chains.get(chain["name"], ()),
        policy=_POLICIES.get(chain.get("policy", "accept"), Action.ACCEPT),
        policy_text=f"{chain['name']}: policy {chain.get('policy', 'accept')}",
        nat=chain.get("type") == "nat",
        chains=chains,
        ours=table == ("inet", own),
        devices=_devices(chain.get("dev")) if chain["hook"] == "ingress" else (),
    )


def _devices(listed: Any) -> tuple[str, ...] | None:
    if listed is None:
        return None
    return (listed,) if isinstance(listed, str) else tuple(listed)


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes rules of one table. `sets`: elements by "@name"."""

    sets: Mapping[str, Any]

    def rules(self, rule: Mapping[str, Any]) -> Iterator[Rule]:
        """A statement that does something is a rule of its own, under the conditions before it."""
        text = f"{rule['chain']}: {nft_text.text(rule['expr'])}"
        conditions: list[Condition] = []
        for statement in rule["expr"]:
            name, value = next(iter(statement.items()))
            if name == "match":
                conditions.append(self._condition(value))
            elif name == "vmap":
                yield from self._by_map(text, tuple(conditions), value)
            elif name in ("xt", "limit", "quota", "connlimit", "ct count", "numgen"):
                conditions.append(unknown)
            else:
                yield self._statement(text, tuple(conditions), name, value)

    def _statement(self, text: str, conditions: tuple[Condition, ...], name: str, value: Any) -> Rule:
        if name in ("jump", "goto"):
            action = Action.JUMP if name == "jump" else Action.GOTO
            return Rule(text=text, conditions=conditions, action=action, chain=value["target"])
        if name == "mangle" and value.get("key") == MARK:
            return Rule(
                text=text,
                conditions=conditions,
                action=Action.MARK,
                new_mark=lambda old: number_of(value["value"], old),
            )
        if name == "queue":
            conditions = (*conditions, unknown)
        return Rule(text=text, conditions=conditions, action=_STATEMENTS.get(name, Action.NOTHING))

    def _by_map(self, text: str, conditions: tuple[Condition, ...], vmap: Mapping[str, Any]) -> Iterator[Rule]:
        data = vmap["data"]
        elements = data.get("set", []) if isinstance(data, dict) else self.sets.get(data, [])
        for element in elements:
            if not (isinstance(element, list) and len(element) == 2 and isinstance(element[1], dict)):
                continue
            key, verdict = element
            match = self._condition({"op": "==", "left": vmap["key"], "right": key})
            name, value = next(iter(verdict.items()))
            yield self._statement(text, (*conditions, match), name, value)

    def _condition(self, match: Mapping[str, Any]) -> Condition:
        test = self._equal(match.get("left"), match.get("right"))
        operator = match.get("op", "==")
        if test is None:
            return unknown
        if operator == "!=":
            return lambda packet: ~test(packet)
        return test if operator in ("==", "in") else unknown

    def _equal(self, left: Any, right: Any) -> Condition | None:
        if isinstance(left, dict) and "concat" in left:
            return self._concatenated(left["concat"], right)
        if is_flags(left):
            return flags_test(left, right)
        if is_mark(left):
            return lambda packet: self._holds(number_of(left, packet.mark), right, in_number)
        field = field_of(left)
        if field is None:
            return None
        read, compare = field
        return lambda packet: self._holds(read(packet), right, compare)

    def _concatenated(self, parts: list[Any], right: Any) -> Condition | None:
        elements = self._elements(right)
        if elements is None:
            return None

        def test(packet: Packet) -> Truth:
            return any_of(
                all_of(
                    (self._equal(part, value) or unknown)(packet)
                    for part, value in zip(parts, element.get("concat", []), strict=False)
                )
                for element in elements
                if isinstance(element, dict)
            )

        return test

    def _holds(self, value: Any, right: Any, compare: Compare) -> Truth:
        elements = self._elements(right)
        if elements is None:
            return Truth.UNKNOWN
        return any_of(compare(value, unwrapped(element)) for element in elements)

    def _elements(self, right: Any) -> list[Any] | None:
        """What the right side lists. None: a set that is not known."""
        if isinstance(right, str) and right.startswith("@"):
            found = self.sets.get(right)
            return None if found is None else list(found)
        if isinstance(right, dict) and "set" in right:
            inner = right["set"]
            return list(inner) if isinstance(inner, list) else [inner]
        return list(right) if isinstance(right, list) else [right]


_STATEMENTS = {
    "accept": Action.ACCEPT,
    "drop": Action.DROP,
    "fwd": Action.DROP,
    "reject": Action.DROP,
    "queue": Action.DROP,
    "return": Action.RETURN,
    "notrack": Action.UNTRACK,
    "dnat": Action.REWRITE,
    "snat": Action.REWRITE,
    "redirect": Action.REWRITE,
    "masquerade": Action.REWRITE,
    "tproxy": Action.REWRITE,
    "synproxy": Action.ACCEPT,
}
