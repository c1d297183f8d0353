import pytest

from gtunnel.address import HostPort, SocketAddress
from gtunnel.conf.targetrules import parse
from gtunnel.wire.sockstargets import admitted
from gtunnel.wire.sockswords import RefusedTargetError

INSIDE, OUTSIDE = SocketAddress("127.0.0.1", 80), SocketAddress("192.0.2.1", 80)


def test_a_name_with_an_address_inside_is_reached_outside() -> None:
    assert admitted(HostPort("name", 80), (INSIDE, OUTSIDE)) == (OUTSIDE,)


def test_a_name_with_no_other_address_is_refused() -> None:
    with pytest.raises(RefusedTargetError, match="name:80 rejected"):
        admitted(HostPort("name", 80), (INSIDE,))


def allowed(host: str, addresses: list[str], *lines: str, port: int = 80) -> list[str]:
    found = tuple(SocketAddress(address, port) for address in addresses)
    try:
        return [one.host for one in admitted(HostPort(host, port), found, tuple(map(parse, lines)))]
    except RefusedTargetError:
        return []


def test_the_first_line_that_is_about_an_address_decides() -> None:
    lines = ("deny 192.0.2.0/25", "allow *.example.org", "allow 198.51.100.1")
    assert allowed("www.example.org", ["192.0.2.1", "192.0.2.200", "2001:db8::1"], *lines) == [
        "192.0.2.200",
        "2001:db8::1",
    ]
    assert allowed("198.51.100.1", ["198.51.100.1"], *lines) == ["198.51.100.1"]
    assert allowed("other.example", ["198.51.100.1", "198.51.100.2"], *lines) == ["198.51.100.1"]
    assert not allowed("198.51.100.2", ["198.51.100.2"], *lines)


def test_an_address_is_no_name() -> None:
    assert not allowed("192.0.2.1", ["192.0.2.1"], "allow *.1")


def test_ipv4_in_ipv6_is_ipv4() -> None:
    assert not allowed("::ffff:10.0.0.1", ["::ffff:10.0.0.1"], "deny 10.0.0.0/8", "allow *")


@pytest.mark.parametrize("address", ["64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::1", "::a00:1"])
def test_ipv4_behind_ipv6_is_judged_as_well(address: str) -> None:
    assert not allowed("name", [address], "deny 10.0.0.0/8", "allow *")
    assert not allowed(address, [address], "deny 10.0.0.0/8", "allow ::/0")
    assert allowed("name", [address], "deny 10.1.0.0/16", "allow *") == [address]
    assert allowed("name", [address], "deny 10.1.0.0/16", "allow ::/0") == [address]
    assert not allowed("name", [address], "allow 10.0.0.0/8")


def test_loopback_behind_ipv6_is_loopback() -> None:
    assert not allowed("name", ["64:ff9b::7f00:1"])
    assert allowed("::1", ["::1"], "allow ::1") == ["::1"]


def test_loopback_needs_a_line_of_its_own() -> None:
    assert not allowed("127.0.0.1", ["127.0.0.1"], "allow *")
    assert not allowed("127.0.0.1", ["127.0.0.1"], "allow 0.0.0.0/0")
    assert not allowed("evil.example", ["127.0.0.1"], "allow *.example", "allow 127.0.0.1")
    assert allowed("localhost", ["127.0.0.1", "::1"], "allow 127.0.0.1:80") == ["127.0.0.1"]
    assert not allowed("localhost", ["127.0.0.1"], "allow 127.0.0.1:80", port=81)
