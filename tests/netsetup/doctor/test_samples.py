from dataclasses import replace

from netsetup.doctor.facts import Answer, Question
from netsetup.doctor.samples import by_interface, delivered_to, ingress, network_of, questions, samples
from netsetup.model import Method
from netsetup.state import Family
from tests.netsetup.doctor.cases import INTERFACES, capturing, facts, keeping


def test_clients_are_in_the_networks_of_the_interface() -> None:
    found = facts(capturing())
    four, six = (samples(found, flow) for flow in found.flows)
    assert [(one.iif, one.source, one.destination, one.ports) for one in four] == [("eth1", "192.0.2.2", None, (80,))]
    assert four[0].destinations == ("198.18.0.99", "198.51.100.2")
    assert six[0].source == "2001:db8:1::2"


def test_networks_that_are_named_are_taken_instead() -> None:
    request = capturing(
        from_networks=("203.0.113.0/24", "2001:db8:7::/64"), to_networks=("198.51.100.0/24",), ports=((80, 90),)
    )
    found = facts(request)
    (sample,) = samples(found, found.flows[0])
    assert (sample.source, sample.destinations, sample.ports) == ("203.0.113.1", ("198.51.100.2",), (80, 90))


def test_without_captureinterface_it_is_any_that_has_an_address() -> None:
    found = facts(capturing(interfaces=()))
    assert list(by_interface(found, found.flows[0])) == ["eth1", "eth2"]
    down = facts(capturing(interfaces=()), interfaces=(*INTERFACES[:2], replace(INTERFACES[2], up=False)))
    assert [one.name for one in ingress(down, down.flows[0])] == ["eth1"]


def test_where_the_kernel_looks_for_the_listener() -> None:
    found = facts(capturing(Method.REDIRECT, local=True))
    outside, local = found.flows[:2]
    assert delivered_to(found, outside, "eth1") == ("192.0.2.1",)
    assert delivered_to(found, local, "lo") == ("127.0.0.1",)
    assert delivered_to(found, outside, "eth9") == ()


def test_what_is_asked_about_captured_packets_and_answers() -> None:
    asked = {one.command for one in questions(facts(capturing(source=True))) if one.family is Family.IPV4}
    assert "ip -4 route get 198.18.0.99 from 192.0.2.2 iif eth1 mark 0x1" in asked
    assert "ip -4 route get 192.0.2.2 from 198.51.100.2 iif eth2 mark 0x1" in asked
    nat = {one.command for one in questions(facts(capturing(Method.REDIRECT)))}
    assert "ip -4 route get 192.0.2.1 from 192.0.2.2 iif eth1" in nat


def test_answers_of_a_server_come_in_where_the_way_to_it_leaves() -> None:
    towards = Question(family=Family.IPV4, destination="203.0.113.7")
    found = facts(keeping("203.0.113.7"), say={towards: Answer(interface="eth2", gateway="198.51.100.9")})
    assert "ip -4 route get 192.0.2.2 from 203.0.113.7 iif eth2 mark 0x1" in {one.command for one in found.answers}


def test_the_network_of_an_address() -> None:
    assert network_of(INTERFACES[1].addresses[0]) == "192.0.2.0/24"
