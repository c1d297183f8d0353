"""Whether the kernel holds what `apply` makes, and whether others' rules leave room for it."""

from collections.abc import Iterator

from netsetup.doctor.facts import Facts
from netsetup.doctor.findings import Finding, Severity
from netsetup.doctor.rules import Action
from netsetup.state import PRIORITIES

_SHOWN = 6
"""Differences that are shown; `gtunnel netsetup status` has all of them."""


def check(facts: Facts) -> Iterator[Finding]:
    """Not applied, changed since, in the way of others, or for an interface that is not there."""
    yield from _drift(facts)
    for what, owner, instead in facts.collisions:
        yield Finding(
            severity=Severity.ERROR,
            title=f"{what} is used by something else",
            evidence=(owner,),
            effect="captured packets take the other's way, or the other's packets take ours",
            fix=f"{instead}, then `gtunnel netsetup apply` and restart gtunnel",
        )
    yield from _interfaces(facts)
    for sentence in facts.unread:
        yield Finding(
            severity=Severity.NOTE,
            title="Not everything could be looked at",
            evidence=(sentence,),
            effect="what is wrong there is not reported here",
            fix="install the program, and check again as root",
        )


def _drift(facts: Facts) -> Iterator[Finding]:
    if not facts.drift:
        return
    more = len(facts.drift) - _SHOWN
    evidence = (*facts.drift[:_SHOWN], *([f"… and {more} more: `gtunnel netsetup status`"] if more > 0 else []))
    if _anything(facts):
        yield Finding(
            severity=Severity.ERROR,
            title="What netsetup has set up differs from what the configuration wants",
            evidence=evidence,
            effect="some or all connections are not captured, or answers do not find the proxy",
            fix="`gtunnel netsetup apply` repairs it; then find out what changed it (another firewall's reload?)",
        )
    else:
        yield Finding(
            severity=Severity.ERROR,
            title="The kernel is not set up for this configuration",
            evidence=evidence,
            effect="nothing is captured, and servers' answers to clients' addresses do not find the proxy",
            fix="`gtunnel netsetup apply`",
        )


def _anything(facts: Facts) -> bool:
    """Whether anything of this instance is there."""
    first = facts.request.priority
    return (
        any(rule.ours and first <= rule.priority < first + PRIORITIES for rule in facts.rules)
        or any(chain.ours for chain in facts.chains)
        or any(rule.action is Action.OURS for chain in facts.chains for rule in chain.rules)
    )


def _interfaces(facts: Facts) -> Iterator[Finding]:
    for interception in facts.request.interceptions:
        for name in interception.capture.interfaces if interception.capture is not None else ():
            found = facts.interface(name)
            if found is None:
                title, evidence = "does not exist", f"ip link: {', '.join(one.name for one in facts.interfaces)}"
            elif not found.up:
                title, evidence = "is down", f"ip link show {name}: DOWN"
            else:
                continue
            yield Finding(
                severity=Severity.WARNING,
                title=f"[{interception.name}] captureInterface {name} {title}",
                evidence=(evidence,),
                effect=f"nothing is captured from {name}",
                fix=f"correct captureInterface, or bring {name} up",
            )
