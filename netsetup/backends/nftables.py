"""The nftables backend: one table of the family inet, replaced in one transaction."""

import json
from types import TracebackType
from typing import Self

from netsetup.backends import legacy, nft, nftables_rules
from netsetup.backends.contract import Content, Image
from netsetup.errors import BackendError, CollisionError, FirewallError
from netsetup.state import Chain


class NftablesBackend:
    """The table has the instance's name, and everything in it is ours."""

    name = nft.NAME

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._unit = f"nft inet {instance}"
        self._rendered: dict[tuple[Chain, ...], Image] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def render(self, chains: tuple[Chain, ...]) -> Image:
        """Loaded in a namespace of its own and read back, so FirewallError also for what this kernel cannot do."""
        nft.require()
        if chains not in self._rendered:
            image: dict[str, Content] = {}
            if chains:
                script = nftables_rules.definition(chains, self._instance)
                image[self._unit] = _content(self._canonical(script))
            self._rendered[chains] = image
        return self._rendered[chains]

    def _canonical(self, script: str) -> nft.Listing:
        try:
            return nft.canonical(script, self._instance)
        except FirewallError as error:
            # An empty table of another name: where not even that can be had, the name is not to blame.
            if _takes_name(self._instance) or not _takes_name("gtunnel"):
                raise
            reason = f"nft takes no table of the name {self._instance!r}"
            raise BackendError(backend=self.name, reason=reason, instead="choose another netName") from error

    def read(self) -> Image:
        """Nothing where there is no nft: then nobody has made a table with it. Raises CollisionError for a table of
        others that has our name: it would be taken for ours, and replaced or removed."""
        if not nft.is_there():
            return {}
        listing = nft.listed(self._instance)
        if listing is None:
            return {}
        if not nftables_rules.is_ours(listing, self._instance):
            what = f"the nft table inet {self._instance}"
            raise CollisionError(what=what, owner="none of its chains is", instead="use another netName")
        return {self._unit: _content(listing)}

    def write(self, unit: str, content: Content | None) -> None:
        """One transaction."""
        nft.load(self._replacement(content), self._instance)
        if self.read().get(unit) != content:
            raise FirewallError(unit=unit, reason="the kernel holds other rules than were written")

    def script(self, _unit: str, _before: Content | None, after: Content | None) -> tuple[str, ...]:
        """One nft command."""
        return ("nft -f - <<'END'", *self._replacement(after).splitlines(), "END")

    def warnings(self) -> tuple[str, ...]:
        """Legacy rules are invisible to nft, yet every packet meets both."""
        tables = legacy.tables_in_use()
        if not tables:
            return ()
        return (
            "legacy iptables rules exist as well and see the same packets as ours (the nftables backend writes nft "
            f"rules), in {', '.join(tables)}: if traffic is not captured or does not get through, see "
            "`iptables-legacy-save` for what drops, redirects or marks it",
        )

    def _replacement(self, content: Content | None) -> str:
        text = "" if content is None else str(json.loads(content.data)["text"])
        return nftables_rules.removal(self._instance) + text


def _takes_name(name: str) -> bool:
    """Whether nft takes a name for a table: words of its language are none."""
    try:
        nft.canonical(f"table inet {name} {{ }}\n", name)
    except FirewallError:
        return False
    return True


def _content(listing: nft.Listing) -> Content:
    data = json.dumps({"text": listing.text, "objects": listing.objects}, sort_keys=True)
    return Content(data, nftables_rules.flat(listing.text))
