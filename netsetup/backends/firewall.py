"""Both backends as one: whichever writes the rules, what the other one left of ours is found, and removed.

So `destroy` needs no configuration, and `netBackend` can be changed on a running gateway: the new rules come first,
then the old ones go.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from netsetup.backends.contract import Content, FirewallBackend, Image
from netsetup.backends.iptables import IptablesBackend
from netsetup.backends.nftables import NftablesBackend
from netsetup.errors import BackendError, FirewallError
from netsetup.model import Backend
from netsetup.state import Chain


class Firewall:
    """A context manager, for the network namespace of the calling process. `wanted` is what `netBackend` says."""

    def __init__(self, wanted: Backend, instance: str) -> None:
        self._backends: Mapping[Backend, FirewallBackend] = {
            Backend.NFTABLES: NftablesBackend(instance),
            Backend.IPTABLES: IptablesBackend(instance),
        }
        self._wanted = wanted
        self._chosen: FirewallBackend | None = None
        self._why = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for backend in self._backends.values():
            self._stack.enter_context(backend)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def render(self, chains: tuple[Chain, ...]) -> Image:
        """The image that `chains` make with the backend that is wanted; AUTO settles on one here.

        AUTO takes nftables where this machine's nft and kernel accept these very rules. Raises FirewallError,
        BackendError.
        """
        if not chains:
            return {}
        if self._chosen is None:
            self._chosen = self._choose(chains)
        return self._chosen.render(chains)

    def read(self) -> Image:
        """What is there of ours, whoever wrote it."""
        return {unit: content for backend in self._backends.values() for unit, content in backend.read().items()}

    def write(self, unit: str, content: Content | None) -> None:
        """As the contract says, by the backend whose unit it is."""
        self._of(unit).write(unit, content)

    def script(self, unit: str, before: Content | None, after: Content | None) -> tuple[str, ...]:
        """Lines of a shell script that do what `write` would do."""
        return self._of(unit).script(unit, before, after)

    def notes(self) -> tuple[str, ...]:
        """Which backend was chosen, and why. Empty before `render`, or where no rule is wanted."""
        return (f"firewall rules are written with {self._chosen.name}{self._why}",) if self._chosen else ()

    def warnings(self) -> tuple[str, ...]:
        """The chosen backend's."""
        return self._chosen.warnings() if self._chosen else ()

    def _choose(self, chains: tuple[Chain, ...]) -> FirewallBackend:
        if self._wanted is not Backend.AUTO:
            return self._backends[self._wanted]
        nftables, iptables = self._backends[Backend.NFTABLES], self._backends[Backend.IPTABLES]
        try:
            nftables.render(chains)
        except BackendError as error:
            self._why = f" (auto: nftables cannot be used: {error.fields['reason']})"
            return iptables
        except FirewallError as error:
            self._why = f" (auto: nftables does not work here: {error.fields['reason']})"
            return iptables
        self._why = " (auto: it works here, and changes everything in one transaction)"
        return nftables

    def _of(self, unit: str) -> FirewallBackend:
        return self._backends[Backend.NFTABLES if unit.startswith("nft ") else Backend.IPTABLES]
