"""Real faults, made in namespaces: the doctor names each, and nothing else."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from netsetup import api
from netsetup.doctor.checks import applied as applied_check
from netsetup.doctor.checkup import CHECKS, diagnose
from netsetup.doctor.findings import Diagnosis
from netsetup.model import Backend, Method, Request
from tests.netsetup.doctor.cases import facts
from tests.netsetup.doctor.gateway import (
    WEB,
    applied,
    capturing,
    everything,
    plain_listener,
    proxy,
    serious,
    stopping,
)
from tests.netsetup.world import ANY, LOOPBACK, SERVER, World, run

root = pytest.mark.root

CAPTURED = "captured packets are dropped"


@dataclass(frozen=True)
class Fault:
    """Commands on the gateway that spoil it, those that mend it, and what the doctor has to say, exactly."""

    name: str
    do: tuple[str, ...]
    undo: tuple[str, ...]
    found: tuple[str, ...]
    seen: str = ""

    def __str__(self) -> str:
        return self.name


FAULTS = [
    Fault(
        "input",
        (
            "iptables-legacy -P INPUT DROP",
            "iptables-legacy -A INPUT -p tcp --dport 9025 -j ACCEPT",
            "iptables-legacy -A INPUT -p tcp --dport 9443 -j ACCEPT",
            "iptables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "iptables-legacy -A INPUT -i lo -j ACCEPT",
            "ip6tables-nft -A INPUT -p tcp --dport 9025 -j REJECT",
        ),
        ("iptables-legacy -P INPUT ACCEPT", "iptables-legacy -F INPUT", "nft delete table ip6 filter"),
        (
            f"[web] IPv4: {CAPTURED}",
            f"[mail] IPv6: {CAPTURED}",
            f"[mail] IPv6 of the gateway's own: {CAPTURED}",
        ),
        seen="iptables-legacy -t filter: -P INPUT DROP",
    ),
    Fault(
        "earlier",
        (
            "ip6tables-legacy -t raw -A PREROUTING -p tcp --dport 25 -j NOTRACK",
            "nft add table inet fw",
            "nft add chain inet fw early { type filter hook prerouting priority -250 ; }",
            "nft add rule inet fw early iifname eth1 tcp dport { 80, 81 } ip saddr 192.0.2.0/24 drop",
            "nft add chain inet fw late { type nat hook prerouting priority -102 ; }",
            "nft add rule inet fw late ip protocol tcp tcp dport 25 redirect to :26",
            "nft add chain inet fw back { type nat hook postrouting priority 100 ; }",
            "nft add rule inet fw back ip6 saddr 2001:db8:1::/64 oifname eth2 masquerade",
        ),
        ("ip6tables-legacy -t raw -F", "nft delete table inet fw"),
        (
            "[mail] IPv6: packets to be captured are not tracked",
            "[web] IPv4: packets to be captured are dropped",
            "[mail] IPv4: packets to be captured are taken by another rule first",
            "[web] IPv6: the proxy's connections by eth2 get another source address",
            "[keep] IPv6: the proxy's connections by eth2 get another source address",
        ),
        seen="nft: inet fw: early: iifname eth1 tcp dport { 80, 81 } ip saddr 192.0.2.0/24 drop",
    ),
    Fault(
        "vpn",
        (
            "ip -4 rule add not fwmark 51820 lookup 51820 pref 4990",
            "ip -4 route add default dev eth2 table 51820",
            "ip -6 rule add pref 5002 fwmark 0x1/0x1 lookup 77",
            "nft add table inet fw",
            "nft add chain inet fw late { type filter hook prerouting priority -140 ; }",
            "nft add rule inet fw late meta nfproto ipv6 iifname eth1 meta mark set 0x1000",
        ),
        (
            "ip -4 rule del pref 4990",
            "ip -4 route flush table 51820",
            "ip -6 rule del pref 5002 lookup 77",
            "nft delete table inet fw",
        ),
        (
            "[web] IPv4: another routing rule takes captured packets before ours does",
            "[web] IPv4: another routing rule takes servers' answers before ours does",
            "[web] IPv4 of the gateway's own: another routing rule takes captured packets before ours does",
            "[keep] IPv4: another routing rule takes servers' answers before ours does",
            "ip rule priority 5002 is used by something else",
            "the firewall mark 0x1/0xff is used by something else",
            "the firewall mark 0x3/0xff is used by something else",
            "[web] IPv6: packets to be captured lose our mark",
        ),
        seen="ip -4 rule: 4990: not from all fwmark 0xca6c lookup 51820",
    ),
    Fault(
        "paths",
        (
            "sysctl -qw net.ipv4.conf.eth1.rp_filter=1",
            "ip route add 192.0.2.2/32 via 198.51.100.2",
            "ip -4 rule del pref 5000",
            "sysctl -qw net.ipv4.conf.eth2.src_valid_mark=1",
        ),
        (
            "sysctl -qw net.ipv4.conf.eth1.rp_filter=0",
            "ip route del 192.0.2.2/32",
            "ip -4 rule add pref 5000 iif lo fwmark 0x1/0xff lookup main protocol 157",
            "sysctl -qw net.ipv4.conf.eth2.src_valid_mark=0",
        ),
        (
            "What netsetup has set up differs from what the configuration wants",
            "[web] IPv4: the reverse path filter throws packets from 192.0.2.2 on eth1 away",
            "[mail] IPv4: the reverse path filter throws packets from 192.0.2.2 on eth1 away",
            "[keep] IPv4: the reverse path filter throws packets from 192.0.2.2 on eth1 away",
            "[web] IPv4: src_valid_mark makes the kernel take clients for itself",
            "[keep] IPv4: src_valid_mark makes the kernel take clients for itself",
        ),
        seen="ip -4 route get 192.0.2.2: dev eth2 via 198.51.100.2",
    ),
]


def test_a_machine_on_which_nothing_is_wrong() -> None:
    assert diagnose(facts()) == Diagnosis()


def test_every_check_is_asked() -> None:
    names = {check.__module__.rpartition(".")[2] for check in CHECKS.values()}
    there = {path.stem for path in Path(applied_check.__file__).parent.glob("*.py")} - {
        "__init__",
        "paths",
        "obstacles",
    }
    assert names == there


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture
def check(world: World, directory: Path) -> Callable[[Request], Diagnosis]:
    return lambda request: api.check(request, world.gateway, directory=directory)


@contextlib.contextmanager
def spoilt(world: World, fault: Fault) -> Iterator[None]:
    done = 0
    try:
        for command in fault.do:
            world.run(world.gateway, command)
            done += 1
        yield
    finally:
        for command in fault.undo if done == len(fault.do) else ():
            world.run(world.gateway, command)


@root
def test_faults_are_named_and_nothing_else_is(
    world: World, directory: Path, check: Callable[[Request], Diagnosis]
) -> None:
    request = everything()
    with applied(world, request, directory), proxy(world, request):
        assert serious(check(request)) == set()
        for fault in FAULTS:
            with spoilt(world, fault):
                diagnosis = check(request)
            assert serious(diagnosis) == set(fault.found), fault.name
            assert f"    seen:   {fault.seen}" in diagnosis.lines(), fault.name
        assert serious(check(request)) == set()


@root
def test_with_iptables_rules_in_front_of_ours(
    world: World, directory: Path, check: Callable[[Request], Diagnosis]
) -> None:
    request = everything(Backend.IPTABLES)
    fault = Fault(
        "front",
        (
            "iptables-legacy -t mangle -I PREROUTING -i eth1 -j ACCEPT",
            "ip6tables-legacy -t nat -I PREROUTING -p tcp --dport 25 -j DNAT --to-destination [2001:db8:2::9]",
        ),
        (
            "iptables-legacy -t mangle -D PREROUTING -i eth1 -j ACCEPT",
            "ip6tables-legacy -t nat -D PREROUTING -p tcp --dport 25 -j DNAT --to-destination [2001:db8:2::9]",
        ),
        (
            "[web] IPv4: packets to be captured never reach our rules",
            "[mail] IPv6: packets to be captured are taken by another rule first",
        ),
    )
    with applied(world, request, directory), proxy(world, request):
        assert serious(check(request)) == set()
        with spoilt(world, fault):
            assert serious(check(request)) == set(fault.found)


FIREWALLD = """
table inet firewalld {
  chain raw_pre { type filter hook prerouting priority -290; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept;
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop; }
  chain filter_input { type filter hook input priority 10; policy accept;
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop;
    iifname eth1 goto public; reject with icmpx admin-prohibited; }
  chain public { tcp dport { 22, 9443 } accept; meta mark & 0xff == 0x1 accept; reject with icmpx admin-prohibited; }
  chain nat_post { type nat hook postrouting priority 110; ip saddr 10.0.0.0/8 oifname eth2 masquerade; }
}
"""

DOCKER_AND_UFW = (
    "iptables-nft -t nat -N DOCKER",
    "iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "iptables-nft -t nat -A DOCKER -p tcp --dport 25 -j DNAT --to-destination 172.17.0.2:25",
    "iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
    "iptables-nft -P FORWARD DROP",
    "iptables-nft -N ufw-not-local",
    "iptables-nft -A INPUT -i lo -j ACCEPT",
    "iptables-nft -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "iptables-nft -A INPUT -m mark --mark 0x1/0xff -j ACCEPT",
    "iptables-nft -A INPUT -j ufw-not-local",
    "iptables-nft -A INPUT -p tcp -m multiport --dports 9025,9443 -j ACCEPT",
    "iptables-nft -A INPUT -j REJECT",
    "iptables-nft -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
    "iptables-nft -A ufw-not-local -m limit --limit 3/min -j LOG",
    "iptables-nft -A ufw-not-local -j DROP",
)


@root
def test_beside_firewalls_that_let_it_through_nothing_is_found(directory: Path, tmp_path: Path) -> None:
    """Not even a note of what may be: as such firewalls are on most machines, nobody would read it."""
    rules = tmp_path / "firewalld.nft"
    rules.write_text(FIREWALLD)
    request = everything()
    with World() as beside:
        beside.run(beside.gateway, f"nft -f {rules}")
        for command in DOCKER_AND_UFW:
            beside.run(beside.gateway, command)
        with applied(beside, request, directory), proxy(beside, request):
            found = api.check(request, beside.gateway, directory=directory)
            assert {one.title for one in found.findings} == {
                "Rules of legacy iptables and of nftables are in force at the same time"
            }, found.lines()
            # ufw's own rule against packets for others drops what TPROXY takes, unless our mark is accepted first.
            beside.run(beside.gateway, "iptables-nft -D INPUT -m mark --mark 0x1/0xff -j ACCEPT")
            assert serious(api.check(request, beside.gateway, directory=directory)) == {
                "[web] IPv4: captured packets are dropped"
            }


@root
def test_who_listens(world: World, directory: Path, check: Callable[[Request], Diagnosis]) -> None:
    request = capturing(Method.TPROXY)
    nobody = {f"[web] IPv{family}: nobody listens on port {WEB}" for family in (4, 6)}
    assert serious(check(request)) == {"The kernel is not set up for this configuration", *nobody}
    with applied(world, request, directory):
        assert serious(check(request)) == nobody
        with plain_listener(world, ANY):
            assert serious(check(request)) == {
                f"[web] IPv{family}: the listener is not transparent (IP_TRANSPARENT)" for family in (4, 6)
            }
        with plain_listener(world, LOOPBACK) as pid:
            diagnosis = check(request)
            assert serious(diagnosis) == {
                f"[web] IPv4: the listener cannot be reached at 192.0.2.1:{WEB} (for eth1)",
                f"[web] IPv6: the listener cannot be reached at [2001:db8:1::1]:{WEB} (for eth1)",
            }
            assert f"(pid {pid})" in diagnosis.findings[0].evidence[0]
        with plain_listener(world, ANY, user="nobody"):
            assert serious(check(request)) == {
                f"[web] IPv{family}: the process that listens may not connect with the client's address"
                for family in (4, 6)
            }


@root
def test_answers_that_go_another_way(world: World, directory: Path, check: Callable[[Request], Diagnosis]) -> None:
    request = capturing(Method.TPROXY)
    world.run(world.server, "ip route del default")
    try:
        with applied(world, request, directory), proxy(world, request), stopping(_client(world)):
            found = _eventually(lambda: check(request), "Servers do not answer connections that carry")
            assert found[0].startswith("ss -tan: SYN-SENT 192.0.2.2:")
    finally:
        world.run(world.server, "ip route add default via 198.51.100.1")


def _client(world: World) -> "subprocess.Popen[str]":
    """Connects, and waits."""
    code = f"import socket, sys; s = socket.create_connection(('{SERVER[4]}', 80)); sys.stdin.read()"
    argv = ["ip", "netns", "exec", world.client, sys.executable, "-c", code]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _eventually(check: Callable[[], Diagnosis], title: str) -> tuple[str, ...]:
    """The evidence of a finding that takes a while to be there."""
    until = time.monotonic() + 60
    while True:
        for finding in check().findings:
            if finding.title.startswith(title):
                return finding.evidence
        assert time.monotonic() < until, f"never found: {title}"


@root
def test_ports_that_are_used_up_and_a_bridge_that_calls_iptables(
    world: World, check: Callable[[Request], Diagnosis]
) -> None:
    """Not applied, nobody listens: what is said besides is what counts."""
    (service,) = capturing(Method.TPROXY).interceptions
    assert service.capture is not None
    capture = replace(service.capture, interfaces=("br0",))
    request = Request(interceptions=(replace(service, capture=capture),))
    world.run(world.gateway, "ip link add br0 type bridge")
    world.run(world.gateway, "ip address add 203.0.113.1/24 dev br0")
    world.run(world.gateway, "ip link set br0 up")
    world.run(world.gateway, "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=0")
    _ports(world, "40000 40001")
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(stopping(world.start(world.server, "server", "80", *ANY.values())))
            for _ in range(2):
                stack.enter_context(stopping(world.start(world.gateway, "talk", "80", SERVER[4])))
            found = serious(check(request))
    finally:
        world.run(world.gateway, "ip link del br0")
        _ports(world, "32768 60999")
    assert {one for one in found if "nobody listens" not in one} == {
        "The kernel is not set up for this configuration",
        "All local ports from 198.51.100.1 to 198.51.100.2:80 are in use",
        "[web] IPv4: the bridge br0 calls iptables before TPROXY can work",
    }


def _ports(world: World, text: str) -> None:
    run(["ip", "netns", "exec", world.gateway, "sysctl", "-qw", f"net.ipv4.ip_local_port_range={text}"])
