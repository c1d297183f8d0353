"""Local ports: whether there are any left for connections to one server."""

from collections import defaultdict
from collections.abc import Iterator

from netsetup.doctor.facts import Facts
from netsetup.doctor.findings import Finding, Severity
from netsetup.kernel.sockdiag import LISTEN, join

_NEARLY = 0.9
_RANGE = "net/ipv4/ip_local_port_range"


def check(facts: Facts) -> Iterator[Finding]:
    """Ports in use from one address of ours (or of a client) to one server, against net.ipv4.ip_local_port_range."""
    words = facts.sysctls.get(_RANGE, "").split()
    if len(words) != 2:
        return
    first, last = int(words[0]), int(words[1])
    size = last - first + 1
    used: dict[tuple[str, str, int], set[int]] = defaultdict(set)
    for one in facts.sockets:
        if one.state != LISTEN and one.peer_port and first <= one.port <= last:
            used[one.host, one.peer, one.peer_port].add(one.port)
    for (host, peer, peer_port), ports in used.items():
        if len(ports) < _NEARLY * size:
            continue
        full = len(ports) >= size
        yield Finding(
            severity=Severity.ERROR if full else Severity.WARNING,
            title=f"{'All' if full else 'Nearly all'} local ports from {host} to {join(peer, peer_port)} are in use",
            evidence=(f"{len(ports)} of {size} in use (ss -tan)", f"net.ipv4.ip_local_port_range = {first} {last}"),
            effect="further connections there fail (Cannot assign requested address)",
            fix='`sysctl -w net.ipv4.ip_local_port_range="1024 65535"`, or more addresses (`local`, `connect`)',
        )
