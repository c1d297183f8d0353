from netsetup.doctor.checks.ports import check
from netsetup.kernel.sockdiag import ESTABLISHED, TcpSocket
from netsetup.state import Family
from tests.netsetup.doctor.cases import facts, only, titles

SYSCTLS = {"net/ipv4/ip_local_port_range": "40000\t40009"}


def connected(port: int, peer: str = "198.51.100.2", host: str = "198.51.100.1") -> TcpSocket:
    return TcpSocket(family=Family.IPV4, state=ESTABLISHED, host=host, port=port, peer=peer, peer_port=443)


def test_ports_count_by_address_and_server() -> None:
    nearly = tuple(connected(40000 + number) for number in range(9))
    found = only(check(facts(sysctls=SYSCTLS, sockets=nearly)))
    assert found.title == "Nearly all local ports from 198.51.100.1 to 198.51.100.2:443 are in use"
    assert found.evidence == ("9 of 10 in use (ss -tan)", "net.ipv4.ip_local_port_range = 40000 40009")
    spread = tuple(connected(40000 + number, f"203.0.113.{number}") for number in range(9))
    assert list(check(facts(sysctls=SYSCTLS, sockets=spread))) == []
    outside = tuple(connected(50000 + number) for number in range(9))
    assert list(check(facts(sysctls=SYSCTLS, sockets=outside))) == []


def test_all_of_them() -> None:
    whole = tuple(connected(40000 + number) for number in range(10))
    assert titles(check(facts(sysctls=SYSCTLS, sockets=whole))) == [
        "error: All local ports from 198.51.100.1 to 198.51.100.2:443 are in use"
    ]


def test_no_range_no_finding() -> None:
    assert list(check(facts(sysctls={}))) == []
