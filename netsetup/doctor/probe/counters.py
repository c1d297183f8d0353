"""What the counters of our own rules say: whether they have seen a packet, and what they did with it.

They count everybody's packets. That they have not moved is certain; that they have may be another one's doing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netsetup.doctor.programs import decoded, output

_TAKING = {"tproxy", "redirect", "dnat"}
_LEGACY = re.compile(r"\[(\d+):\d+\] -A (\S+) .*-j (TPROXY|REDIRECT|DNAT|DROP)\b")


@dataclass(frozen=True, slots=True)
class Counted:
    """Packets that rules of ours have handed to the listener, and that they have dropped (failing closed)."""

    taken: int = 0
    dropped: int = 0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.taken + other.taken, self.dropped + other.dropped)

    def __sub__(self, other: "Counted") -> "Counted":
        return Counted(self.taken - other.taken, self.dropped - other.dropped)


def count(instance: str, family: int) -> Counted:
    """Whichever backend wrote them."""
    listed, _ = decoded("nft", "-j", "list", "table", "inet", instance)
    program = "iptables-legacy-save" if family == 4 else "ip6tables-legacy-save"
    status, saved, _ = output(program, "-c")
    found = [*_of_nft(listed or {}), *(_of_legacy(saved, instance) if status == 0 else ())]
    return sum(found, start=Counted())


def _of_nft(listed: Any) -> Iterator[Counted]:
    for item in listed.get("nftables", []):
        words = {name: value for part in item.get("rule", {}).get("expr", []) for name, value in part.items()}
        packets = (words.get("counter") or {}).get("packets", 0)
        if words.keys() & _TAKING:
            yield Counted(taken=packets)
        elif "drop" in words:
            yield Counted(dropped=packets)


def _of_legacy(saved: str, instance: str) -> Iterator[Counted]:
    for packets, chain, target in _LEGACY.findall(saved):
        if chain.startswith(f"{instance}."):
            yield Counted(dropped=int(packets)) if target == "DROP" else Counted(taken=int(packets))
