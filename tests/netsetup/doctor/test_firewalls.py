"""All three kinds of rules, read in a namespace."""

import pytest

from netsetup.doctor import firewalls, programs
from netsetup.state import Family
from tests.netsetup.world import World, inside


@pytest.mark.root
def test_each_rule_is_read_once() -> None:
    with World() as world:
        world.run(world.gateway, "iptables-nft -t filter -A INPUT -p tcp --dport 80 -j DROP")

        def check() -> None:
            chains, unread = firewalls.read(tuple(Family), "gtunnel")
            assert unread == ()
            places = {(chain.place, chain.hook) for chain in chains if chain.rules}
            assert ("iptables-legacy -t mangle", "prerouting") in places
            assert ("ip6tables-legacy -t filter", "input") in places
            assert ("iptables-nft -t filter", "input") in places
            assert ("nft: inet others", "prerouting") in places
            assert not [place for place, _ in places if place.startswith("nft: ip ")]

        inside(world.gateway, check)


@pytest.mark.root
def test_where_there_is_nothing_nothing_is_loaded() -> None:
    with World() as world:

        def check() -> None:
            assert firewalls.read(tuple(Family), "gtunnel") == ((), ())

        inside(world.client, check)
        assert world.run(world.client, "cat /proc/net/ip_tables_names") == ""


def test_what_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firewalls, "_loaded", lambda _names: True)
    monkeypatch.setattr(programs, "output", lambda *argv: (127, "", f"{argv[0]} is not installed"))
    chains, unread = firewalls.read((Family.IPV4,), "gtunnel")
    assert chains == ()
    assert unread == (
        "the rules of iptables-legacy were not looked at: iptables-legacy-save is not installed",
        "nftables' rules were not looked at: nft is not installed",
    )
