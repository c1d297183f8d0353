"""What a probe has seen, hop by hop."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from netsetup.doctor.packet import Truth

_SIGNS = {Truth.YES: "ok", Truth.NO: "FAILED", Truth.UNKNOWN: "not known"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One stage of the way. `name`: sent, captured, accepted, connected, answered, returned."""

    name: str
    state: Truth
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One connection. `title`: service and IP version; `hops` in order, up to the first that is not YES."""

    title: str
    hops: tuple[Hop, ...]

    def lines(self) -> tuple[str, ...]:
        """For people."""
        return (
            f"probe: {self.title}",
            *(f"    {hop.name + ':':<11}{_SIGNS[hop.state]:<10} {hop.text}" for hop in self.hops),
        )

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        hops = [{"name": hop.name, "state": hop.state.value, "text": hop.text} for hop in self.hops]
        return {"title": self.title, "hops": hops}


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """All of them."""

    probed: tuple[Probed, ...]

    @staticmethod
    def of(probed: Iterable[Probed]) -> "Probes":
        """In order."""
        return Probes(probed=tuple(probed))

    @property
    def failed(self) -> bool:
        """Whether any connection surely did not get through. What is not known is no failure."""
        return any(hop.state is Truth.NO for one in self.probed for hop in one.hops)

    def lines(self) -> tuple[str, ...]:
        """For people."""
        return tuple(line for one in self.probed for line in one.lines())
