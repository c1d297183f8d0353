"""Beside what else is on gateways: firewalld, Docker, VPNs, a second proxy. Imitated by the rules that they make.

Theirs stays as it is, to the byte, and goes on working; ours works beside it, and survives their reloads.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from netsetup import api
from netsetup.model import Backend, Capture, Interception, Listener, Marks, Method, Request
from tests.netsetup.traffic import Stopping, proxy
from tests.netsetup.world import ANY, CLIENT, INGRESS, SERVER, World, run

pytestmark = pytest.mark.root

PORT = 80
BACKENDS = pytest.mark.parametrize(
    "backend", [Backend.NFTABLES, Backend.IPTABLES], ids=lambda backend: str(backend.value)
)
METHODS = pytest.mark.parametrize("method", [Method.TPROXY, Method.REDIRECT], ids=lambda method: str(method.value))

FIREWALLD = """\
table inet firewalld {
  chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept; jump mangle_zones; }
  chain mangle_zones { iifname "eth1" return; }
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; }
  chain filter_INPUT {
    type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    meta l4proto { icmp, ipv6-icmp } accept
    ct state invalid drop
    %s
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD {
    type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    ct state invalid drop
    reject with icmpx admin-prohibited
  }
}
"""
LET_IN = "meta mark & 0xff == 0x1 accept"
"""What an administrator adds for TPROXY: captured packets come to INPUT with the port that they were sent to."""

WG_QUICK = (
    "sysctl -qw net.ipv4.conf.all.src_valid_mark=1",
    "ip -4 route add 203.0.113.0/24 via 198.51.100.2 table 51820",
    # Where the kernel puts them if the VPN was there first. What comes later stands before all others' (see check).
    "ip -4 rule add pref 32765 not fwmark 51820 table 51820",
    "ip -4 rule add pref 32764 table main suppress_prefixlength 0",
    "ip -6 rule add pref 32765 not fwmark 51820 table 51820",
    "ip -6 rule add pref 32764 table main suppress_prefixlength 0",
    "nft add table ip wg-quick-wg0",
    "nft add chain ip wg-quick-wg0 premangle { type filter hook prerouting priority mangle ; }",
    "nft add rule ip wg-quick-wg0 premangle meta l4proto udp meta mark set ct mark",
    "nft add chain ip wg-quick-wg0 postmangle { type filter hook postrouting priority mangle ; }",
    "nft add rule ip wg-quick-wg0 postmangle meta l4proto udp mark 51820 ct mark set mark",
)
TAILSCALE = (
    "ip -4 rule add pref 5210 fwmark 0x80000/0xff0000 lookup main",
    "ip -4 rule add pref 5230 fwmark 0x80000/0xff0000 lookup default",
    "ip -4 rule add pref 5250 fwmark 0x80000/0xff0000 unreachable",
    "ip -4 rule add pref 5270 lookup 52",
    "iptables-nft -t mangle -A PREROUTING -i eth9 -j MARK --set-xmark 0x40000/0xff0000",
    "iptables-nft -A FORWARD -m mark --mark 0x40000/0xff0000 -j ACCEPT",
)
DOCKER = (
    "ip link add docker0 type bridge",
    "ip addr add 203.0.113.1/24 dev docker0",
    "ip link set docker0 up",
    "{iptables} -t nat -N DOCKER",
    "{iptables} -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "{iptables} -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "{iptables} -t nat -A POSTROUTING -s 203.0.113.0/24 ! -o docker0 -j MASQUERADE",
    "{iptables} -t nat -A DOCKER ! -i docker0 -p tcp --dport 8080 -j DNAT --to-destination 203.0.113.2:80",
    "{iptables} -P FORWARD DROP",
    "{iptables} -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "{iptables} -A FORWARD -i docker0 -j ACCEPT",
    "{iptables} -A FORWARD -d 203.0.113.2 -o docker0 -p tcp --dport 80 -j ACCEPT",
)


@dataclass(frozen=True)
class Site:
    """A world of a test's own, with a server on the server."""

    world: World
    directory: Path
    stack: ExitStack

    def others(self, *commands: str) -> None:
        """What somebody else sets up on the gateway."""
        for command in commands:
            self.world.run(self.world.gateway, command)

    def load(self, ruleset: str) -> None:
        """A table of somebody's, in place of the one that it had."""
        name = ruleset.split()[2]
        file = self.directory / f"{name}.nft"
        file.write_text(f"add table inet {name}\ndelete table inet {name}\n{ruleset}")
        self.others(f"nft -f {file}")

    def apply(self, request: Request) -> None:
        api.apply(request, self.world.gateway, directory=self.directory)

    def in_sync(self, request: Request) -> bool:
        return api.status(request, self.world.gateway, directory=self.directory).in_sync

    def destroy(self, request: Request) -> None:
        api.destroy(request.instance, self.world.gateway, directory=self.directory)

    def proxied(self, request: Request) -> None:
        """Run the proxy until the end of the test."""
        self.stack.enter_context(proxy(self.world, request))

    def through_proxy(self, family: int = 4, host: str = "client", address: str | None = None) -> dict[str, Any]:
        """An exchange that has to go through the proxy."""
        seen = self.world.ask(getattr(self.world, host), address or SERVER[family], PORT, 100_000)
        assert seen.get("whole") is True, f"IPv{family}: {seen}"
        assert seen["server"]["peer"] != seen["local"], "it did not go through the proxy"
        return seen


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with World() as world, ExitStack() as stack:
        stack.enter_context(Stopping(world.start(world.server, "server", str(PORT), *ANY.values())))
        yield Site(world, tmp_path, stack)


def wanted(backend: Backend, method: Method, interface: str = "eth1") -> Request:
    """Port 80 from an interface, by a proxy that keeps clients' addresses."""
    hosts = ("127.0.0.1", "::1") if method is Method.TPROXY else ("0.0.0.0", "::")
    service = Interception(
        name="web",
        listeners=tuple(Listener(host=host, port=9443) for host in hosts),
        source=True,
        capture=Capture(ports=((PORT, PORT),), interfaces=(interface,), method=method),
    )
    return Request(interceptions=(service,), backend=backend)


@BACKENDS
@METHODS
def test_firewalld(site: Site, backend: Backend, method: Method) -> None:
    let_in = LET_IN if method is Method.TPROXY else ""
    site.load(FIREWALLD % let_in)
    before = site.world.snapshot()
    request = wanted(backend, method)
    site.apply(request)
    site.proxied(request)
    for family in (4, 6):
        seen = site.through_proxy(family)
        assert seen["server"]["peer"][0] == CLIENT[family]
    # firewalld replaces its own table when it reloads.
    site.load(FIREWALLD % let_in)
    assert site.in_sync(request)
    site.through_proxy()
    site.destroy(request)
    assert site.world.snapshot() == before


@BACKENDS
@METHODS
def test_wg_quick_and_tailscale(site: Site, backend: Backend, method: Method) -> None:
    """src_valid_mark=1 and strict reverse paths are what breaks transparent proxying beside them."""
    site.others(*WG_QUICK, *TAILSCALE, "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth1.rp_filter=1")
    before = site.world.snapshot()
    request = wanted(backend, method)
    site.apply(request)
    site.proxied(request)
    for family in (4, 6):
        site.through_proxy(family)
    site.destroy(request)
    assert site.world.snapshot() == before


@BACKENDS
@METHODS
@pytest.mark.parametrize("iptables", ["iptables-nft", "iptables-legacy"])
def test_docker(site: Site, backend: Backend, method: Method, iptables: str) -> None:
    """A container behind a bridge is captured, and its published port stays reachable."""
    world = site.world
    site.others(*(command.format(iptables=iptables) for command in DOCKER))
    # Docker switches it on; then bridged packets meet netfilter twice, and TPROXY's choice of a socket is lost.
    site.others(f"sysctl -qw net.bridge.bridge-nf-call-iptables={int(method is Method.REDIRECT)}")
    container = f"{world.server}-c"
    run(["ip", "netns", "add", container])
    site.stack.callback(run, ["ip", "netns", "del", container])
    run(f"ip link add veth0 netns {world.gateway} type veth peer name eth0 netns {container}".split())
    site.others("ip link set veth0 master docker0 up")
    for command in ("addr add 203.0.113.2/24 dev eth0", "link set eth0 up", "route add default via 203.0.113.1"):
        world.run(container, f"ip {command}")
    site.stack.enter_context(Stopping(world.start(container, "server", "80", ANY[4])))

    def published() -> None:
        seen = world.ask(world.client, INGRESS[4], 8080, 1000)
        assert seen.get("whole") is True, seen
        assert seen["server"]["peer"] == seen["local"]

    published()
    before = world.snapshot()
    request = wanted(backend, method, "docker0")
    site.apply(request)
    site.proxied(request)
    seen = world.ask(container, SERVER[4], PORT, 100_000)
    assert seen.get("whole") is True, seen
    assert seen["server"]["peer"] != seen["local"]
    published()
    site.destroy(request)
    assert world.snapshot() == before


@BACKENDS
def test_a_second_proxy(site: Site, backend: Backend) -> None:
    """With a name, marks, a table and priorities of its own; each takes its own traffic, neither sees the other's."""
    first = wanted(backend, Method.TPROXY)
    (service,) = first.interceptions
    assert service.capture is not None
    other = replace(
        service,
        name="admin",
        listeners=tuple(replace(one, port=9444) for one in service.listeners),
        capture=replace(service.capture, ports=((81, 81),)),
    )
    marks = Marks.from_first(0x100, 0xF00)
    second = Request(interceptions=(other,), instance="second", backend=backend, marks=marks, table=200, priority=5100)
    site.apply(first)
    site.apply(second)
    assert site.in_sync(first)
    assert site.in_sync(second)
    site.stack.enter_context(Stopping(site.world.start(site.world.server, "server", "81", *ANY.values())))
    for request in (first, second):
        site.proxied(request)
    for family in (4, 6):
        site.through_proxy(family)
        seen = site.world.ask(site.world.client, SERVER[family], 81, 1000)
        assert seen.get("whole") is True, seen
        assert seen["server"]["peer"] != seen["local"]
    site.destroy(first)
    assert site.in_sync(second)


@BACKENDS
def test_others_bits_of_the_mark_stay(site: Site, backend: Backend) -> None:
    """A policy router in front of us has marked the packet and its connection with bits of its own."""
    site.others(
        "nft add table inet router",
        "nft add chain inet router pre { type filter hook prerouting priority -160 ; }",
        "nft add rule inet router pre meta mark set meta mark | 0x40000 ct mark set ct mark | 0x80000",
        "nft add chain inet router in { type filter hook input priority 0 ; }",
        "nft add rule inet router in tcp dport 80 meta mark 0x40001 ct mark 0x80001 counter comment kept",
        "nft add rule inet router in tcp dport 80 counter comment lost",
    )
    request = wanted(backend, Method.TPROXY)
    site.apply(request)
    site.proxied(request)
    site.through_proxy()
    listing = site.world.run(site.world.gateway, "nft list chain inet router in")
    counts = {
        line.split('comment "')[1].rstrip('"'): int(line.split("packets ")[1].split()[0])
        for line in listing.splitlines()
        if "counter" in line
    }
    assert counts["kept"] > 0
    # The answers of the server carry the client's address, and are no part of a captured connection.
    assert counts["lost"] == counts["kept"]
