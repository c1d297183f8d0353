import pytest

from netsetup.errors import ImpossibleError
from netsetup.model import Interception, Listener, Method
from netsetup.modes.choice import Origin, captured_families, deliveries, explain, listener_for
from netsetup.state import Family
from tests.netsetup.modes.requests import ANYWHERE, LOOPBACK, service

V4, V6 = Family.IPV4, Family.IPV6


def _methods(interception: Interception, family: Family) -> dict[Origin, Method]:
    assert interception.capture is not None
    return {one.origin: one.method for one in deliveries(interception, interception.capture, family)}


def test_the_first_listener_of_the_family_is_taken() -> None:
    assert listener_for(LOOPBACK, V4) == LOOPBACK[0]
    assert listener_for(LOOPBACK, V6) == LOOPBACK[1]
    assert listener_for(LOOPBACK[:1], V6) is None
    assert listener_for(LOOPBACK[1:], V4) is None


def test_a_wildcard_listener_of_ipv6_serves_ipv4_where_nothing_else_does() -> None:
    assert listener_for(ANYWHERE[1:], V4) == ANYWHERE[1]
    assert listener_for(ANYWHERE, V4) == ANYWHERE[0]


def test_auto_takes_tproxy_from_outside_and_redirect_at_home() -> None:
    wanted = {Origin.OUTSIDE: Method.TPROXY, Origin.LOCAL: Method.REDIRECT}
    for family in Family:
        assert _methods(service(capture_local=True), family) == wanted
        assert _methods(service(), family) == {Origin.OUTSIDE: Method.TPROXY}


def test_what_was_asked_for_is_done() -> None:
    tproxy = service(capture_local=True, capture_method=Method.TPROXY)
    assert set(_methods(tproxy, V6).values()) == {Method.TPROXY}


def test_redirect_to_ipv6_loopback_is_refused_with_what_works() -> None:
    refused = service(capture_method=Method.REDIRECT, capture_interfaces=("eth0",))
    with pytest.raises(ImpossibleError, match=r"\[web\]: .*::1.*use captureMethod = tproxy, or accept on \[::\]"):
        _methods(refused, V6)


def test_redirect_to_ipv4_loopback_needs_named_interfaces() -> None:
    with pytest.raises(ImpossibleError, match="captureInterface"):
        _methods(service(capture_method=Method.REDIRECT), V4)
    named = service(capture_method=Method.REDIRECT, capture_interfaces=("eth0",))
    assert named.capture is not None
    (delivery,) = deliveries(named, named.capture, V4)
    assert delivery.via_loopback_sysctl
    assert "route_localnet" in explain("web", delivery)


@pytest.mark.parametrize(
    ("host", "origin", "how"),
    [
        ("0.0.0.0", Origin.OUTSIDE, "REDIRECT to 0.0.0.0:9443"),
        ("192.0.2.1", Origin.OUTSIDE, "DNAT to 192.0.2.1:9443"),
        ("127.0.0.1", Origin.LOCAL, "REDIRECT to 127.0.0.1:9443"),
        ("127.0.0.2", Origin.LOCAL, "DNAT to 127.0.0.2:9443"),
        ("192.0.2.1", Origin.LOCAL, "DNAT to 192.0.2.1:9443"),
    ],
)
def test_the_sentence_says_how(host: str, origin: Origin, how: str) -> None:
    local = origin is Origin.LOCAL
    method = Method.AUTO if local else Method.REDIRECT
    given = service(listeners=(Listener(host=host, port=9443),), capture_method=method, capture_local=local)
    assert given.capture is not None
    (delivery,) = [one for one in deliveries(given, given.capture, V4) if one.origin is origin]
    assert explain("web", delivery).partition(" (")[0] == f"[web] IPv4, {origin.value}: {how}"


def test_the_sentence_says_why_where_it_was_ours_to_choose() -> None:
    given = service(listeners=ANYWHERE[1:], capture_local=True)
    assert given.capture is not None
    outside, local = (explain("web", one) for one in deliveries(given, given.capture, V4))
    assert "(auto: packets stay as they are" in outside
    assert "not IPV6_V6ONLY" in outside
    assert "(auto: takes new connections only" in local
    asked = service(capture_method=Method.TPROXY)
    assert asked.capture is not None
    assert all("auto" not in explain("web", one) for one in deliveries(asked, asked.capture, V4))


def test_families_that_cannot_be_captured_are_left_out_with_a_reason() -> None:
    only_four = service(listeners=LOOPBACK[:1])
    assert only_four.capture is not None
    families, notes = captured_families(only_four, only_four.capture)
    assert families == (V4,)
    assert notes == ("[web] IPv6 is not captured: the service does not listen there",)
    to_six = service(capture_to_networks=("2001:db8::/32",))
    assert to_six.capture is not None
    assert captured_families(to_six, to_six.capture) == (
        (V6,),
        ("[web] IPv4 is not captured: captureTo names no such network",),
    )


def test_nothing_to_capture_is_an_error() -> None:
    crossed = service(capture_to_networks=("2001:db8::/32",), capture_from_networks=("192.0.2.0/24",))
    assert crossed.capture is not None
    with pytest.raises(ImpossibleError, match="no IP version is common"):
        captured_families(crossed, crossed.capture)
