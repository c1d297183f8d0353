"""What nft prints of real rules, loaded in a namespace; without root, what it printed once."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netsetup.doctor import nft_json
from netsetup.doctor.packet import Packet, Truth
from netsetup.doctor.rules import Action, BaseChain, at_hook, walk
from netsetup.state import Family
from tests.netsetup.world import run

PACKET = Packet(
    family=Family.IPV4,
    iif="eth1",
    oif="",
    source="192.0.2.2",
    sport=4000,
    dport=80,
    mark=0x101,
    to_here=False,
    symmetric=True,
)
SIX = Packet(family=Family.IPV6, iif="eth1", oif="", source="2001:db8::2", dport=80, to_here=True)

pytestmark = pytest.mark.root


def loaded(text: str, directory: Path) -> Any:
    """The ruleset as nft lists it, from a namespace that is gone afterwards."""
    file = directory / "rules.nft"
    file.write_text(text)
    return json.loads(run(["unshare", "-n", "sh", "-c", f"nft -f {file} && nft -j list ruleset"]))


def chains(text: str, directory: Path) -> tuple[BaseChain, ...]:
    return nft_json.parse(loaded(text, directory), "gtunnel", frozenset())


CASES = {
    "iifname eth1": Truth.YES,
    'iifname "eth*"': Truth.YES,
    "iifname { eth2, lo }": Truth.NO,
    "iifname != lo": Truth.YES,
    "tcp dport 80": Truth.YES,
    "tcp dport { 22, 70-90 }": Truth.YES,
    "tcp dport != 80": Truth.NO,
    "tcp dport 81-90": Truth.NO,
    "tcp sport 4000": Truth.YES,
    "udp dport 80": Truth.NO,
    "meta l4proto tcp": Truth.YES,
    "meta l4proto { icmp, udp }": Truth.NO,
    "meta nfproto ipv6": Truth.NO,
    "ip protocol tcp": Truth.YES,
    "ip saddr 192.0.2.0/24": Truth.YES,
    "ip saddr { 203.0.113.1, 192.0.2.1-192.0.2.9 }": Truth.YES,
    "ip saddr @bad": Truth.NO,
    "ip saddr @good": Truth.YES,
    "ip daddr 198.51.100.2": Truth.UNKNOWN,
    "ip6 saddr ::/0": Truth.NO,
    "ct state new": Truth.YES,
    "ct state { established, related }": Truth.NO,
    "ct state != invalid": Truth.YES,
    "ct state established,new": Truth.YES,
    "ct mark 1": Truth.UNKNOWN,
    "meta mark 0x101": Truth.YES,
    "meta mark & 0xff == 0x1": Truth.YES,
    "meta mark & 0xff != 0x1": Truth.NO,
    "tcp flags & (fin|syn|rst|ack) == syn": Truth.YES,
    "tcp flags syn": Truth.YES,
    "tcp flags ack": Truth.NO,
    "fib daddr type local": Truth.NO,
    "fib daddr type != local": Truth.YES,
    "fib daddr type unicast": Truth.UNKNOWN,
    "ip saddr . tcp dport { 192.0.2.2 . 80 }": Truth.YES,
    "ip saddr . tcp dport { 192.0.2.2 . 81 }": Truth.NO,
    "limit rate 3/second": Truth.UNKNOWN,
    "socket transparent 1": Truth.UNKNOWN,
    "icmp type echo-request": Truth.NO,
    "ct status dnat": Truth.NO,
    "ct status assured": Truth.UNKNOWN,
    "fib saddr . iif oif missing": Truth.NO,
    "fib saddr . mark . iif oif exists": Truth.YES,
    "fib saddr oif lo": Truth.UNKNOWN,
    "ip dscp 3": Truth.UNKNOWN,
}


def test_conditions(tmp_path: Path) -> None:
    sets = "set bad { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 }; }\n"
    sets += "set good { type ipv4_addr; flags timeout; elements = { 192.0.2.2 timeout 1h }; }\n"
    made = "".join(
        f"chain c{number} {{ type filter hook input priority {number}; {words} drop; }}\n"
        for number, words in enumerate(CASES)
    )
    found = {chain.priority: chain for chain in chains(f"table inet t {{\n{sets}{made}}}", tmp_path)}
    seen = {words: walk(found[number], PACKET).dropped for number, words in enumerate(CASES)}
    assert seen == CASES


def test_maps_jumps_policies_and_marks(tmp_path: Path) -> None:
    text = """
    table inet t {
      map verdicts { type inet_service : verdict; elements = { 80 : jump web, 81 : drop }; }
      chain input { type filter hook input priority 0; policy drop;
        ct state vmap { established : accept, invalid : drop }
        tcp dport vmap @verdicts
      }
      chain web { ip saddr 203.0.113.1 drop; meta mark set meta mark & 0xffffff00 | 0x5; iifname eth1 accept; }
      chain pre { type filter hook prerouting priority raw; notrack; }
    }
    table ip n { chain p { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :81; }; }
    table inet gtunnel { chain p { type filter hook prerouting priority mangle; }; }
    table netdev d { chain i { type filter hook ingress device lo priority 0; tcp dport 80 drop; }; }
    table bridge b { chain f { type filter hook input priority 0; policy drop; }; }
    """
    found = chains(text, tmp_path)
    (chain,) = at_hook(found, "input", PACKET)
    done = walk(chain, PACKET)
    assert done.dropped is Truth.NO
    assert done.packet.mark == 0x105
    refused = walk(chain, SIX)
    assert refused.dropped is Truth.NO
    other = walk(chain, Packet(family=Family.IPV4, iif="eth2", source="192.0.2.2", dport=82))
    assert [event.text for event in other.events] == ["nft: inet t: input: policy drop"]
    assert [(one.place, one.priority, one.nat, one.ours) for one in at_hook(found, "prerouting", PACKET)] == [
        ("nft: inet t", -300, False, False),
        ("nft: inet gtunnel", -150, False, True),
        ("nft: ip n", -100, True, False),
    ]
    actions = [walk(one, PACKET).events[0].action for one in at_hook(found, "prerouting", PACKET)]
    (early,) = (one for one in found if one.hook == "ingress")
    assert early.devices in (("lo",), None)  # nft 1.0.6 does not print it
    assert walk(early, PACKET).dropped is Truth.YES
    assert list(at_hook((replace(early, devices=("lo",)),), "ingress", PACKET)) == []
    assert actions == [Action.UNTRACK, Action.ACCEPT, Action.REWRITE]


def test_tables_that_are_read_in_another_way_are_left_out(tmp_path: Path) -> None:
    ruleset = loaded("table ip filter { chain INPUT { type filter hook input priority 0; policy drop; }; }", tmp_path)
    assert nft_json.parse(ruleset, "gtunnel", frozenset({("ip", "filter")})) == ()
    assert len(nft_json.parse(ruleset, "gtunnel", frozenset())) == 1


def test_nothing_is_nothing() -> None:
    assert nft_json.parse({}, "gtunnel", frozenset()) == ()
