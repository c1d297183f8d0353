"""Facts for tests: a gateway on which nothing is wrong, and what a test changes about it.

clients 192.0.2.0/24, 2001:db8:1::/64 - eth1 - gateway - eth2 - servers 198.51.100.0/24, 2001:db8:2::/64
"""

from dataclasses import replace
from typing import Any

from netsetup.doctor.facts import Address, Answer, Facts, Interface, Owner, Question, RoutingRule, Tracking
from netsetup.doctor.findings import Finding
from netsetup.doctor.flows import flows
from netsetup.doctor.iptables_text import parse
from netsetup.doctor.rules import BaseChain
from netsetup.doctor.samples import questions
from netsetup.kernel.sockdiag import LISTEN, TcpSocket
from netsetup.model import Capture, Interception, Listener, Method, Request, Target
from netsetup.state import Family

PORT = 9443
OWNER = Owner(pid=77, name="gtunnel", may_be_transparent=True)


def _addresses(four: str, six: str, four_bits: int = 24, six_bits: int = 64) -> tuple[Address, ...]:
    return (
        Address(family=Family.IPV4, host=four, prefix=four_bits),
        Address(family=Family.IPV6, host=six, prefix=six_bits),
    )


INTERFACES = (
    Interface(name="lo", index=1, up=True, addresses=_addresses("127.0.0.1", "::1", 8, 128)),
    Interface(name="eth1", index=2, up=True, addresses=_addresses("192.0.2.1", "2001:db8:1::1")),
    Interface(name="eth2", index=3, up=True, addresses=_addresses("198.51.100.1", "2001:db8:2::1")),
)


def capturing(method: Method = Method.TPROXY, *, source: bool = False, **more: Any) -> Request:
    """One service that captures port 80, on all addresses of port `PORT`."""
    capture = Capture(**{"ports": ((80, 80),), "interfaces": ("eth1",), "method": method, **more})
    listeners = (Listener(host="0.0.0.0", port=PORT), Listener(host="::", port=PORT))
    return Request(interceptions=(Interception(name="web", listeners=listeners, source=source, capture=capture),))


def keeping(*targets: str) -> Request:
    """One service that captures nothing and keeps the client's address."""
    listeners = (Listener(host="0.0.0.0", port=PORT),)
    found = tuple(Target(host=host, port=443) for host in targets)
    return Request(interceptions=(Interception(name="keep", listeners=listeners, source=True, targets=found),))


def listening(host: str = "0.0.0.0", **more: Any) -> TcpSocket:
    """A listening socket, of `OWNER`, transparent."""
    settings: dict[str, Any] = {"transparent": True, "inode": 500, "v6only": ":" in host, **more}
    family = Family.IPV6 if ":" in host else Family.IPV4
    return TcpSocket(family=family, state=LISTEN, host=host, port=PORT, peer="", peer_port=0, **settings)


def facts(request: Request | None = None, **changes: Any) -> Facts:
    """All is well, but for the changes. `say`: answers to some of the questions."""
    request = request or capturing()
    say: dict[Question, Answer] = changes.pop("say", {})
    whole: dict[str, Any] = {
        "flows": flows(request, tuple(Family)),
        "interfaces": INTERFACES,
        "sockets": (listening(), listening("::")),
        "owners": {500: (OWNER,)},
        "sysctls": {"net/ipv4/ip_local_port_range": "32768\t60999"},
        "rules": (RoutingRule(family=Family.IPV4, priority=32766, text="ip -4 rule: 32766: from all lookup main"),),
        "tracking": Tracking(count=10, limit=65536),
        **changes,
    }
    made = Facts(request=request, **whole)
    for _ in range(2):
        made = replace(made, answers={question: say.get(question, _usual(question)) for question in questions(made)})
    return made


def _usual(question: Question) -> Answer:
    if question.iif is not None or question.mark:
        return Answer(local=True, interface="lo")
    near = question.destination.startswith(("192.0.2.", "2001:db8:1:"))
    return Answer(interface="eth1" if near else "eth2")


def legacy(text: str, table: str = "filter", family: Family = Family.IPV4) -> tuple[BaseChain, ...]:
    """Rules of legacy iptables; `text` without table and COMMIT."""
    return parse(f"*{table}\n{text}\nCOMMIT\n", "iptables-legacy", family, "gtunnel")


def titles(findings: Any) -> list[str]:
    """What was found, shortly."""
    return [f"{one.severity.name.lower()}: {one.title}" for one in findings]


def only(findings: Any) -> Finding:
    """The one finding."""
    (found,) = findings
    assert isinstance(found, Finding)
    return found
