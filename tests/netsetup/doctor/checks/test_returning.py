from netsetup.doctor.checks.returning import check
from netsetup.kernel.sockdiag import SYN_SENT, TcpSocket
from netsetup.model import Target
from netsetup.state import Family
from tests.netsetup.doctor.cases import capturing, facts, keeping, only, titles


def waiting(number: int = 1, **more: object) -> TcpSocket:
    settings: dict[str, object] = {"transparent": True, "retransmits": 2, "host": "192.0.2.7", **more}
    return TcpSocket(
        family=Family.IPV4,
        state=SYN_SENT,
        port=40000 + number,
        peer="198.51.100.2",
        peer_port=443,
        **settings,  # type: ignore[arg-type]
    )


def test_connections_that_wait_for_a_server_s_answer() -> None:
    request = keeping("198.51.100.2")
    found = only(check(facts(request, sockets=tuple(waiting(number) for number in range(5)))))
    assert found.title == "Servers do not answer connections that carry the client's address"
    assert found.evidence[0] == "ss -tan: SYN-SENT 192.0.2.7:40000 -> 198.51.100.2:443, sent 3 times"
    assert found.evidence[-1] == "… and 2 more"


def test_others_that_wait_are_not_ours_to_judge() -> None:
    request = keeping("198.51.100.2")
    others = (waiting(retransmits=0), waiting(transparent=False), waiting(host="192.0.2.1"))
    assert list(check(facts(request, sockets=others))) == []
    assert list(check(facts(capturing(), sockets=(waiting(),)))) == []


def test_a_server_among_the_clients() -> None:
    request = capturing(source=True)
    (service,) = request.interceptions
    targets = (Target(host="192.0.2.50", port=443), Target(host="198.51.100.2", port=443))
    beside = type(request)(
        interceptions=(
            type(service)(
                name="web", listeners=service.listeners, source=True, capture=service.capture, targets=targets
            ),
        )
    )
    assert titles(check(facts(beside))) == [
        "warning: [web] IPv4: the server 192.0.2.50 is in the same network as clients (192.0.2.0/24)"
    ]
