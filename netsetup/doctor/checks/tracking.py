"""Connection tracking: absent, full, or switched off for captured packets (the last is `firewall`'s)."""

from collections.abc import Iterator

from netsetup.doctor.facts import Facts
from netsetup.doctor.findings import Finding, Severity

_NEARLY = 0.9
"""From this share on it is said to be nearly full: a burst of short connections fills the rest within seconds."""


def check(facts: Facts) -> Iterator[Finding]:
    """Only for flows that need it; a full table drops every new connection, whoever needs it."""
    needing = tuple(flow.title for flow in facts.flows if flow.tracked)
    tracking = facts.tracking
    if tracking is None:
        if needing:
            yield Finding(
                severity=Severity.ERROR,
                title="This kernel tracks no connections",
                evidence=("there is no /proc/sys/net/netfilter/nf_conntrack_max", *needing),
                effect="destinations cannot be rewritten nor asked for (Protocol not available), and answers of "
                "servers on this machine are not recognised",
                fix="`modprobe nf_conntrack`; or captureMethod = tproxy, with servers elsewhere",
            )
        return
    if tracking.limit and tracking.count >= _NEARLY * tracking.limit:
        full = tracking.count >= tracking.limit
        yield Finding(
            severity=Severity.ERROR if full else Severity.WARNING,
            title=f"Connection tracking is {'full' if full else 'nearly full'}",
            evidence=(
                f"net.netfilter.nf_conntrack_count = {tracking.count}",
                f"net.netfilter.nf_conntrack_max = {tracking.limit}",
            ),
            effect='new connections are dropped ("nf_conntrack: table full, dropping packet" in the kernel\'s log)',
            fix=f"`sysctl -w net.netfilter.nf_conntrack_max={tracking.limit * 2}`, and find out who opens so many",
        )
