from dataclasses import replace

from netsetup.doctor.checks.bridges import check
from netsetup.model import Method
from tests.netsetup.doctor.cases import INTERFACES, capturing, facts, titles

CALLS = {"net/bridge/bridge-nf-call-iptables": "1"}
BRIDGE = replace(INTERFACES[1], name="br0", kind="bridge")
PORT = replace(INTERFACES[1], name="eth1", master="br0", addresses=())
BRIDGED = (INTERFACES[0], PORT, BRIDGE, INTERFACES[2])


def test_no_bridge_no_finding() -> None:
    assert list(check(facts(sysctls=CALLS))) == []


def test_tproxy_at_a_bridge_that_calls_iptables() -> None:
    at_bridge = capturing(interfaces=("br0",))
    assert titles(check(facts(at_bridge, interfaces=BRIDGED, sysctls=CALLS))) == [
        "error: [web] IPv4: the bridge br0 calls iptables before TPROXY can work"
    ]
    assert list(check(facts(at_bridge, interfaces=BRIDGED))) == []
    redirect = capturing(Method.REDIRECT, interfaces=("br0",))
    assert list(check(facts(redirect, interfaces=BRIDGED, sysctls=CALLS))) == []


def test_where_the_interface_is_not_named_it_is_a_note() -> None:
    found = check(facts(capturing(interfaces=()), interfaces=BRIDGED, sysctls=CALLS))
    assert titles(found) == ["note: [web] IPv4: the bridge br0 calls iptables before TPROXY can work"]


def test_a_port_of_a_bridge_is_not_where_packets_come_in() -> None:
    found = list(check(facts(capturing(), interfaces=BRIDGED)))
    assert titles(found)[0] == "error: [web] IPv4: captureInterface eth1 is a port of the bridge br0"
    assert found[0].fix == "captureInterface = br0"
