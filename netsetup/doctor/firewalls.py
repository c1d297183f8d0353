"""Reading all rules that packets meet here: legacy iptables, iptables-nft, nftables."""

from pathlib import Path
from typing import Any

from netsetup.doctor import iptables_text, nft_json, programs
from netsetup.doctor.rules import BaseChain
from netsetup.state import Family

_LEGACY = {Family.IPV4: ("iptables-legacy", "ip_tables_names"), Family.IPV6: ("ip6tables-legacy", "ip6_tables_names")}
_NFT = {Family.IPV4: ("iptables-nft", "ip"), Family.IPV6: ("ip6tables-nft", "ip6")}
_TABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})


def read(families: tuple[Family, ...], instance: str) -> tuple[tuple[BaseChain, ...], tuple[str, ...]]:
    """All base chains, and a sentence for each kind of rules that could not be looked at."""
    chains: list[BaseChain] = []
    unread: list[str] = []
    for family in families:
        program, names = _LEGACY[family]
        # Without a table there is nothing, and iptables-save would load the module.
        if _loaded(names):
            chains += _saved(program, family, instance, unread)
    ruleset, reason = programs.decoded("nft", "-j", "list", "ruleset")
    if ruleset is None:
        unread.append(f"nftables' rules were not looked at: {reason}")
        return tuple(chains), tuple(unread)
    covered: set[tuple[str, str]] = set()
    for family in families:
        program, name = _NFT[family]
        tables = _iptables_nft_tables(ruleset, name)
        if tables:
            found = _saved(program, family, instance, unread)
            chains += found
            # What iptables-nft cannot print is left to nft's JSON.
            printed = {chain.place.rpartition(" ")[2] for chain in found}
            covered |= {(name, table) for table in tables & printed}
    chains += nft_json.parse(ruleset, instance, frozenset(covered))
    return tuple(chains), tuple(unread)


def _loaded(names: str) -> bool:
    path = Path("/proc/self/net") / names
    try:
        return bool(path.read_text().split())
    except OSError:
        return False


def _saved(program: str, family: Family, instance: str, unread: list[str]) -> tuple[BaseChain, ...]:
    status, text, reason = programs.output(f"{program}-save")
    if status != 0:
        unread.append(f"the rules of {program} were not looked at: {reason}")
        return ()
    return iptables_text.parse(text, program, family, instance)


def _iptables_nft_tables(ruleset: Any, family: str) -> set[str]:
    """nft's tables that look like iptables': its matches and targets appear in them as opaque expressions."""
    return {
        chain["table"]
        for item in ruleset.get("nftables", [])
        if (chain := item.get("chain")) is not None
        and chain["family"] == family
        and chain["table"] in _TABLES
        and chain.get("hook", "").upper() == chain["name"]
    }
