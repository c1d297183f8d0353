"""What a firewall backend is: the contract that every one of them keeps (tests/netsetup/backends/contract.py).

A backend's rules come in units, each of which it can replace as a whole or not at all: a table of one family for
iptables, everything for nftables. A unit's content is canonical: the same rules give the same content, whether
rendered from a desired state or read from the kernel, so that comparing them tells what has drifted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from netsetup.state import Chain


@dataclass(frozen=True, slots=True)
class Content:
    """What a unit holds. `data`: canonical JSON, equal for equal rules. `lines`: the same for people to read."""

    data: str
    lines: tuple[str, ...]


Image = Mapping[str, Content]
"""Units that hold something of ours, by name. A unit that holds nothing is absent."""


class FirewallBackend(Protocol):
    """Reads and writes our rules in the network namespace of the calling process. A context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def name(self) -> str:
        """As `netBackend` names it."""
        ...

    def render(self, chains: tuple[Chain, ...]) -> Image:
        """The image that `chains` would make. Changes nothing; raises FirewallError for what cannot be expressed, and
        BackendError where this backend cannot be used at all."""
        ...

    def read(self) -> Image:
        """What is there of ours. Changes nothing, and loads no table that is not loaded yet. Raises FirewallError."""
        ...

    def write(self, unit: str, content: Content | None) -> None:
        """Replace what is ours in `unit`, atomically; None removes it. Others' rules and counters stay. So may an empty
        table that was not there before us, where the kernel has no way to remove it (legacy iptables).

        Raises FirewallError when the kernel refuses it, or when reading back gives something else.
        """
        ...

    def script(self, unit: str, before: Content | None, after: Content | None) -> tuple[str, ...]:
        """Lines of a POSIX shell script that take `unit` from one content to the other, as atomically as `write`."""
        ...

    def warnings(self) -> tuple[str, ...]:
        """Sentences about things of others that may get in the way."""
        ...
