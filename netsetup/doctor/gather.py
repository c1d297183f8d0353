"""Finding out the facts, in the namespace of this process. Changes nothing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from netsetup import operations
from netsetup.doctor import firewalls, programs
from netsetup.doctor.facts import Address, Answer, Facts, Interface, Question, RoutingRule, Tracking
from netsetup.doctor.flows import flows
from netsetup.doctor.owners import owners
from netsetup.doctor.samples import questions
from netsetup.errors import NetworkReadError
from netsetup.kernel import namespace, sysctl
from netsetup.kernel.routing import Routing
from netsetup.kernel.sockdiag import LISTEN, tcp_sockets
from netsetup.ledger import Ledger
from netsetup.model import Request
from netsetup.modes.build import desired
from netsetup.plan import Actual, collisions
from netsetup.state import ROUTE_PROTOCOL, Claim, Family, IpRule, Mark

_SYSCTLS = (
    "net/ipv4/ip_local_port_range",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "net/ipv6/bindv6only",
)
_OF_INTERFACES = ("rp_filter", "src_valid_mark")
_FAMILIES = {"inet": Family.IPV4, "inet6": Family.IPV6}


def outline(request: Request) -> Facts:
    """What a probe has to know: flows, interfaces, sysctls. Quick."""
    interfaces = _interfaces()
    return Facts(
        request=request,
        flows=flows(request, namespace.families()),
        interfaces=interfaces,
        sysctls=dict(_sysctls(interfaces)),
    )


def gather(request: Request, directory: Path) -> Facts:
    """Everything. Raises NetsetupError where the network cannot be looked at, or the request is impossible."""
    families = namespace.families()
    status = operations.status(request, directory)
    sockets = tcp_sockets()
    chains, unread = firewalls.read(families, request.instance)
    facts = replace(
        outline(request),
        drift=status.differences,
        collisions=_collisions(request, families, directory),
        sockets=sockets,
        owners=owners(one.inode for one in sockets if one.state == LISTEN),
        rules=tuple(rule for family in families for rule in _rules(family)),
        chains=chains,
        tracking=_tracking(),
        refused_by_reverse_path=_counter("IPReversePathFilter"),
        unread=unread,
    )
    # Twice: where a server's answers come in depends on the first answers.
    return _answered(_answered(facts))


def _answered(facts: Facts) -> Facts:
    """With the answers to what can be asked by now."""
    new = dict.fromkeys(question for question in questions(facts) if question not in facts.answers)
    return replace(facts, answers={**facts.answers, **{question: ask(question) for question in new}})


def ask(question: Question) -> Answer:
    """Where the kernel would send the packet."""
    words = question.command.split()
    answer, reason = programs.decoded(words[0], "-j", *words[1:])
    if not answer:
        return Answer(error=reason.removeprefix("RTNETLINK answers: "))
    route = answer[0]
    return Answer(
        local=route.get("type") == "local",
        interface=route.get("dev", ""),
        gateway=route.get("gateway", ""),
        source=route.get("prefsrc", ""),
    )


def _listed(*argv: str) -> list[Any]:
    found, reason = programs.decoded(*argv)
    if found is None:
        raise NetworkReadError(what=" ".join(argv), reason=reason)
    listed: list[Any] = found
    return listed


def _interfaces() -> tuple[Interface, ...]:
    return tuple(
        Interface(
            name=link["ifname"],
            index=link["ifindex"],
            up="UP" in link["flags"],
            kind=link.get("linkinfo", {}).get("info_kind", ""),
            master=link.get("master", ""),
            addresses=tuple(
                Address(family=_FAMILIES[one["family"]], host=one["local"], prefix=one["prefixlen"])
                for one in link.get("addr_info", [])
                if one.get("family") in _FAMILIES and "local" in one
            ),
        )
        for link in _listed("ip", "-j", "-d", "address")
        if "ifname" in link
    )


def _rules(family: Family) -> Iterator[RoutingRule]:
    program = f"-{family.value}"
    status, text, reason = programs.output("ip", program, "rule", "show")
    if status != 0:
        raise NetworkReadError(what=f"ip {program} rule show", reason=reason)
    for line in text.splitlines():
        priority, _, rest = line.partition(":")
        if priority.isdigit():
            yield RoutingRule(
                family=family,
                priority=int(priority),
                text=f"ip {program} rule: {priority}: {' '.join(rest.split())}",
                ours=f"proto {ROUTE_PROTOCOL}" in rest,
                mark=_mark(rest.split()),
                inverted=rest.split()[:1] == ["not"],
            )


def _mark(words: list[str]) -> Mark | None:
    if "fwmark" not in words:
        return None
    value, _, mask = words[words.index("fwmark") + 1].partition("/")
    return Mark(int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF)


def _collisions(request: Request, families: tuple[Family, ...], directory: Path) -> tuple[tuple[str, str, str], ...]:
    wanted = desired(request, families)
    claim = Claim(request.table, request.priority)
    others = tuple(Ledger(directory, namespace.identity(), request.instance).others())
    with Routing() as routing:
        candidates, foreign = routing.rules()
        theirs = [rule.as_foreign() for rule in candidates if _of_another(rule, others)]
        actual = Actual(
            image={}, foreign_rules=(*foreign, *theirs), foreign_routes=tuple(routing.routes(request.table))
        )
    return tuple(collisions(wanted, claim, request.marks, actual))


def _of_another(rule: IpRule, others: tuple[Claim, ...]) -> bool:
    return any(rule.table == claim.table or claim.priority <= rule.priority < claim.priority + 4 for claim in others)


def _sysctls(interfaces: tuple[Interface, ...]) -> Iterator[tuple[str, str]]:
    names = ("all", *(one.name for one in interfaces))
    paths = (*_SYSCTLS, *(f"net/ipv4/conf/{name}/{setting}" for name in names for setting in _OF_INTERFACES))
    for path in paths:
        value = sysctl.read(path)
        if value is not None:
            yield path, value


def _tracking() -> Tracking | None:
    count = sysctl.read("net/netfilter/nf_conntrack_count")
    limit = sysctl.read("net/netfilter/nf_conntrack_max")
    return None if count is None or limit is None else Tracking(count=int(count), limit=int(limit))


def _counter(name: str) -> int:
    """A counter of the extended statistics of TCP (proc_net(5))."""
    try:
        lines = Path("/proc/self/net/netstat").read_text().splitlines()
    except OSError:
        return 0
    names, values = (line.split() for line in lines[:2])
    return int(dict(zip(names, values, strict=False)).get(name, "0"))
