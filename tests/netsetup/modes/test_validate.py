import pytest

from netsetup.errors import RequestError
from netsetup.model import Interception, Listener, Marks, Request, Target
from netsetup.modes.validate import validate_instance, validated
from tests.netsetup.modes.requests import request, service


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (request(instance=""), "instance: '' is not"),
        (request(instance="a.b"), "instance"),
        (request(instance="sixteen-letters-"), "instance"),
        (request(table=254), "netTable: 254"),
        (request(table=0), "netTable"),
        (request(table=2**32), "netTable"),
        (request(priority=0), "netPriority"),
        (request(priority=32766), "netPriority"),
        (request(marks=Marks(divert=1, own=2, local=2, mask=0xFF)), "netMark: .* differ"),
        (request(marks=Marks(divert=1, own=2, local=0x100, mask=0xFF)), "netMark: .* fit"),
        (request(marks=Marks(divert=0, own=1, local=2, mask=0xFF)), "netMark"),
        (request(marks=Marks(divert=1, own=2, local=3, mask=2**32)), "netMark: the mask"),
        (request(marks=Marks.from_first(1, 1)), "netMark"),
        (request(service(), service()), r"\[web\]: two services"),
        (request(service(listeners=(Listener(host="example.com", port=1),))), r"\[web\]: 'example.com' is no numeric"),
        (request(service(listeners=(Listener(host="::1", port=0),))), r"port 0"),
        (request(service(listeners=(Listener(host="fe80::1%eth0", port=1),))), r"link-local"),
        (request(service(listeners=(Listener(host="::ffff:127.0.0.1", port=1),))), r"IPv4 in IPv6"),
        (request(service(targets=(Target(host="nowhere", port=1),))), "nowhere"),
        (request(service(listeners=())), "can only be captured"),
        (request(service(capture_ports=())), "no ports"),
        (request(service(capture_ports=((2, 1),))), "2-1"),
        (request(service(capture_ports=((1, 65536),))), "65536"),
        (request(service(capture_interfaces=("lo",))), "captureLocal = yes"),
        (request(service(capture_interfaces=("a b",))), "captureInterface: 'a b'"),
        (request(service(capture_interfaces=("!eth0",))), "captureInterface"),
        (request(service(capture_interfaces=("eth+",))), "captureInterface"),
        (request(service(capture_interfaces=("longer-than-that",))), "captureInterface"),
        (request(service(capture_from_networks=("192.0.2.1/24",))), "captureFrom: .*host bits"),
        (request(service(capture_to_networks=("x",))), "captureTo"),
        (request(service(capture_exclude=("192.0.2.0/33",))), "captureExclude"),
    ],
)
def test_what_cannot_be_is_refused_by_name(bad: Request, sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence):
        validated(bad)


def test_addresses_get_their_canonical_form() -> None:
    given = Interception(
        name="x",
        listeners=(Listener(host="0:0::1", port=1),),
        source=True,
        targets=(Target(host="2001:DB8:0::1", port=2),),
    )
    (found,) = validated(request(given)).interceptions
    assert found.listeners == (Listener(host="::1", port=1),)
    assert found.targets == (Target(host="2001:db8::1", port=2),)


@pytest.mark.parametrize("name", ["gtunnel", "gtunnel-2", "A_b-9"])
def test_good_instances_pass(name: str) -> None:
    validate_instance(name)
