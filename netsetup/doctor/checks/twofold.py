"""Rules of legacy iptables and of nftables at the same time."""

from collections.abc import Iterator

from netsetup.doctor.facts import Facts
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.rules import Action, BaseChain


def check(facts: Facts) -> Iterator[Finding]:
    """Others' rules in both. What is ours alone does not count: it is meant to live beside the others."""
    legacy = _places(chain for chain in facts.chains if chain.legacy)
    newer = _places(chain for chain in facts.chains if not chain.legacy and not chain.ours)
    if legacy and newer:
        yield Finding(
            severity=Severity.NOTE,
            title="Rules of legacy iptables and of nftables are in force at the same time",
            evidence=(f"iptables-legacy-save: {', '.join(legacy)}", f"nft list ruleset: {', '.join(newer)}"),
            effect="packets meet both, each tool shows its own only, and what one accepts the other may still drop",
            fix="where that was not meant, move the rules to one of them (iptables-legacy-save | iptables-nft-restore)",
        )


def _places(chains: Iterator[BaseChain]) -> tuple[str, ...]:
    found = (chain.place for chain in chains if any(rule.action is not Action.OURS for rule in chain.rules))
    return tuple(dict.fromkeys(found))
