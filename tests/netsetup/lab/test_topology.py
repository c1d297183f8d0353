"""The lab's plan makes sense: neighbours share networks, addresses are documentation's, names fit the kernel."""

import ipaddress

import pytest

from netsetup.lab.topology import CABLES, CLIENT, GATEWAY, HOSTS, PREFIX_V4, PREFIX_V6, SERVER, Interface

DOCUMENTATION = [ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32")]
# IFNAMSIZ is 16 with the terminating NUL (netdevice(7)).
LONGEST_NAME = 15


def network(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The network that an interface with this address is in."""
    return ipaddress.ip_network(f"{address}/{PREFIX_V6 if ':' in address else PREFIX_V4}", strict=False)


@pytest.mark.parametrize("interface", [interface for host in HOSTS for interface in host.interfaces])
def test_addresses_are_set_aside_for_documentation(interface: Interface) -> None:
    assert len(interface.name) <= LONGEST_NAME
    for address in (interface.v4, interface.v6):
        parsed = ipaddress.ip_address(address)
        assert any(parsed in net for net in DOCUMENTATION)


def test_both_ends_of_a_cable_are_neighbours() -> None:
    for interface, host in CABLES:
        assert network(interface.v4) == network(host.v4)
        assert network(interface.v6) == network(host.v6)
        assert host.via is interface


def test_client_and_server_see_each_other_only_through_the_gateway() -> None:
    assert network(CLIENT.v4) != network(SERVER.v4)
    assert network(CLIENT.v6) != network(SERVER.v6)
    assert GATEWAY.via is None
