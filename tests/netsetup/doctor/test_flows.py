from netsetup.doctor.flows import Way, flows
from netsetup.model import Capture, Interception, Listener, Method, Request
from netsetup.state import Family
from tests.netsetup.doctor.cases import capturing, keeping


def test_a_capture_is_a_flow_for_each_family_and_origin() -> None:
    found = flows(capturing(local=True), tuple(Family))
    assert [(one.family, one.local, one.way) for one in found] == [
        (Family.IPV4, False, Way.TPROXY),
        (Family.IPV4, True, Way.TPROXY),
        (Family.IPV6, False, Way.TPROXY),
        (Family.IPV6, True, Way.TPROXY),
    ]
    assert found[1].title == "[web] IPv4 of the gateway's own"
    assert found[0].ports == ((80, 80),)


def test_only_the_versions_of_ip_that_the_kernel_has() -> None:
    assert {one.family for one in flows(capturing(), (Family.IPV4,))} == {Family.IPV4}


def test_where_it_is_handed_to() -> None:
    capture = Capture(ports=((80, 80),), interfaces=("eth1",), method=Method.REDIRECT)
    hands = {
        host: flows(
            Request(
                interceptions=(
                    Interception(name="x", listeners=(Listener(host=host, port=9),), source=False, capture=capture),
                )
            ),
            (Family.IPV4,),
        )[0].hands_to
        for host in ("0.0.0.0", "192.0.2.1", "127.0.0.1")
    }
    assert hands == {"0.0.0.0": None, "192.0.2.1": "192.0.2.1", "127.0.0.1": "127.0.0.1"}


def test_a_service_that_only_keeps_the_client_s_address() -> None:
    (found,) = flows(keeping("198.51.100.2"), tuple(Family))
    assert (found.way, found.family, found.source, found.ports) == (Way.DIRECT, Family.IPV4, True, ((9443, 9443),))
    assert [target.host for target in found.targets] == ["198.51.100.2"]
    assert found.tracked
    (loopback,) = flows(keeping("127.0.0.1"), tuple(Family))
    assert not loopback.tracked


def test_what_needs_tracking() -> None:
    assert [one.tracked for one in flows(capturing(Method.REDIRECT), (Family.IPV4,))] == [True]
    assert [one.tracked for one in flows(capturing(fail_closed=False), (Family.IPV4,))] == [False]
