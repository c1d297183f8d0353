"""The gateway: every transparent mode in the lab, by the addresses that each side saw and the bytes that came.

client 192.0.2.2 - gateway 192.0.2.1 | 198.51.100.1 - server 198.51.100.2, and the same in 2001:db8:1:: | 2001:db8:2::.
gtunnel runs on the gateway in client mode: plain from the client, TLS to the server.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from netsetup.lab import Lab
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, PREAMBLE, Tunnels

pytestmark = pytest.mark.root

SIZE = 8 << 20
PORT = 8443
LISTEN = 9443
ENDPOINTS = [sys.executable, "-m", "tests.support.endpoints"]

CLIENT = {4: "192.0.2.2", 6: "2001:db8:1::2"}
INGRESS = {4: "192.0.2.1", 6: "2001:db8:1::1"}
EGRESS = {4: "198.51.100.1", 6: "2001:db8:2::1"}
SERVER = {4: "198.51.100.2", 6: "2001:db8:2::2"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}

FAMILIES = pytest.mark.parametrize("family", [4, 6], ids=["IPv4", "IPv6"])
METHODS = pytest.mark.parametrize("method", ["redirect", "tproxy"])
InLab = Callable[..., Daemon]


@dataclass(frozen=True)
class Site:
    """A lab with what a test needs in it."""

    lab: Lab
    in_lab: InLab
    gtunnel: Tunnels
    pki: Pki
    backend: str = "auto"

    def serve(self, host: str, address: str, port: int = PORT) -> Daemon:
        """A TLS echo server on a host, that says who came."""
        argv = [*ENDPOINTS, "serve", address, str(port), "--cert", str(self.pki.server.pem)]
        daemon = self.in_lab(host, argv, env=GTUNNEL_ENVIRONMENT)
        daemon.wait_for("listening")
        return daemon

    def gateway(self, conf: str, *, netsetup: bool = True) -> Daemon:
        """gtunnel on the gateway, after `netsetup apply` with the same file."""
        conf = f"netBackend = {self.backend}\n{conf}"
        path = self.gtunnel.configuration(conf)
        if netsetup:
            done = self.netsetup("apply", str(path))
            assert done.returncode == 0, done.stdout + done.stderr
        return self.gtunnel(conf, launch=partial(self.lab.popen, "gateway"))

    def netsetup(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """`gtunnel netsetup …` on the gateway."""
        return self.lab.run(
            "gateway", [*GTUNNEL, "netsetup", *arguments], env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True
        )

    def sh(self, host: str, *commands: str) -> None:
        """Run commands on a host; each must succeed."""
        for command in commands:
            done = self.lab.run(host, ["sh", "-c", command], capture_output=True, text=True)
            assert done.returncode == 0, f"{command}: {done.stderr}"

    def probe(self, host: str, address: str, port: int = PORT, size: int = SIZE) -> dict[str, Any]:
        """Exchange `size` random bytes each way from a host; what it saw."""
        argv = [*ENDPOINTS, "probe", address, str(port), "--size", str(size)]
        done = self.lab.run(host, argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen


@pytest.fixture
def site(request: pytest.FixtureRequest, lab: Lab, in_lab: InLab, gtunnel: Tunnels, pki: Pki) -> Site:
    """The lab; with BOTH, for each backend."""
    return Site(lab, in_lab, gtunnel, pki, getattr(request, "param", "auto"))


BOTH = pytest.mark.parametrize("site", ["nftables", "iptables"], indirect=True)


def service(more: str) -> str:
    """A client-mode service with this besides."""
    return f"[gateway]\nclient = yes\n{more}\n"


def accept_on(*addresses: str) -> str:
    """`accept` lines."""
    return "".join(f"accept = {address}:{LISTEN}\n" for address in addresses)


def captured(mode: str, method: str, family: int, more: str = "captureInterface = to-client") -> str:
    """A service that captures `PORT`, listening where the method wants it."""
    where = LOOPBACK if method == "tproxy" else INGRESS
    return service(
        f"{accept_on(where[family])}transparent = {mode}\ncapture = {PORT}\ncaptureMethod = {method}\n{more}"
    )


def assert_arrived(server: Daemon, client: dict[str, Any], *, size: int = SIZE) -> dict[str, Any]:
    """All bytes came both ways; returns what the server saw."""
    assert client["same"] is True
    assert client["size"] == size
    seen: dict[str, Any] = json.loads(server.wait_for('"peer"'))
    assert seen["size"] == size
    return seen


@BOTH
@FAMILIES
@METHODS
@pytest.mark.parametrize("mode", ["destination", "both"])
@pytest.mark.parametrize("place", ["server", "gateway"])
def test_captured_traffic(site: Site, mode: str, method: str, family: int, place: str) -> None:
    target = SERVER[family] if place == "server" else EGRESS[family]
    server = site.serve(place, target)
    running = site.gateway(captured(mode, method, family))
    client = site.probe("client", target)
    seen = assert_arrived(server, client)
    # The client sees the server that it asked for.
    assert client["peer"] == [target, PORT]
    # The server sees the client, or the gateway's address towards it.
    gateways_own = {"server": EGRESS[family], "gateway": target}[place]
    assert seen["peer"][0] == (CLIENT[family] if mode == "both" else gateways_own)
    running.wait_for(f"Original destination is {target}:{PORT}")


@BOTH
@FAMILIES
@pytest.mark.parametrize("place", ["server", "gateway", "loopback"])
def test_source_alone(site: Site, family: int, place: str) -> None:
    target = {"server": SERVER, "gateway": EGRESS, "loopback": LOOPBACK}[place][family]
    server = site.serve("server" if place == "server" else "gateway", target)
    site.gateway(service(f"{accept_on(INGRESS[family])}connect = {target}:{PORT}\ntransparent = source"))
    client = site.probe("client", INGRESS[family], LISTEN)
    seen = assert_arrived(server, client)
    assert seen["peer"][0] == CLIENT[family]


@BOTH
@FAMILIES
@pytest.mark.parametrize("mode", ["destination", "both"])
@pytest.mark.parametrize("place", ["server", "gateway"])
def test_the_gateways_own_traffic(site: Site, mode: str, family: int, place: str) -> None:
    target = SERVER[family] if place == "server" else EGRESS[family]
    server = site.serve(place, target)
    addresses = accept_on(LOOPBACK[family], INGRESS[family])
    site.gateway(service(f"{addresses}transparent = {mode}\ncapture = {PORT}\ncaptureLocal = yes"))
    client = site.probe("gateway", target, size=1 << 20)
    seen = assert_arrived(server, client, size=1 << 20)
    assert seen["peer"][0] == client["local"][0]


def test_without_netsetup_nothing_is_captured_and_after_destroy_nothing_is_left(site: Site) -> None:
    conf = captured("both", "tproxy", 4)
    before = kernel(site)
    site.gateway(conf)
    assert kernel(site) != before
    path = str(site.gtunnel.configuration(conf))
    assert site.netsetup("status", path).returncode == 0
    again = site.netsetup("apply", path)
    assert "nothing to do" in again.stdout
    assert site.netsetup("destroy").returncode == 0
    assert kernel(site) == before
    assert site.netsetup("status", path).returncode == 2


def kernel(site: Site) -> str:
    """Everything that netsetup may touch on the gateway, as text."""
    commands = (
        "nft -s list ruleset; iptables-legacy-save -c | grep -v '^#'; ip6tables-legacy-save -c | grep -v '^#'; "
        "ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; sysctl -a 2>/dev/null | grep -E "
        "'^net.ipv[46].conf|ip_forward|nf_conntrack_tcp_loose'"
    )
    done = site.lab.run("gateway", ["sh", "-c", commands], capture_output=True, text=True)
    # Counters of chains move, and a table that was looked at once is listed from then on, though it is empty.
    return "\n".join(line for line in done.stdout.splitlines() if not line.startswith((":", "*", "COMMIT")))


@FAMILIES
def test_rules_made_by_hand_after_the_manual_for_source(site: Site, family: int) -> None:
    iptables, ip, everything = _tools(family)
    site.sh(
        "gateway",
        f"{iptables} -t mangle -N DIVERT",
        f"{iptables} -t mangle -A PREROUTING -p tcp -m socket -j DIVERT",
        f"{iptables} -t mangle -A DIVERT -j MARK --set-mark 1",
        f"{iptables} -t mangle -A DIVERT -j ACCEPT",
        f"{ip} rule add fwmark 1 lookup 100",
        f"{ip} route add local {everything} dev lo table 100",
    )
    server = site.serve("server", SERVER[family])
    conf = service(f"{accept_on(INGRESS[family])}connect = {SERVER[family]}:{PORT}\ntransparent = source")
    site.gateway(conf, netsetup=False)
    seen = assert_arrived(server, site.probe("client", INGRESS[family], LISTEN))
    assert seen["peer"][0] == CLIENT[family]


@FAMILIES
@pytest.mark.parametrize("mode", ["destination", "both"])
def test_rules_made_by_hand_after_the_manual_for_destination(site: Site, family: int, mode: str) -> None:
    iptables, ip, everything = _tools(family)
    ingress = f"[{INGRESS[6]}]:{LISTEN}" if family == 6 else f"{INGRESS[4]}:{LISTEN}"
    site.sh(
        "gateway",
        f"{iptables} -t nat -I PREROUTING -p tcp --dport {PORT} -i to-client -j DNAT --to-destination {ingress}",
    )
    if mode == "both":
        site.sh(
            "gateway",
            f"{iptables} -t mangle -N DIVERT",
            f"{iptables} -t mangle -A PREROUTING -p tcp -m socket --transparent -j DIVERT",
            f"{iptables} -t mangle -A DIVERT -j MARK --set-mark 1",
            f"{iptables} -t mangle -A DIVERT -j ACCEPT",
            f"{ip} rule add fwmark 1 lookup 100",
            f"{ip} route add local {everything} dev lo table 100",
        )
    server = site.serve("server", SERVER[family])
    site.gateway(service(f"{accept_on(INGRESS[family])}transparent = {mode}"), netsetup=False)
    seen = assert_arrived(server, site.probe("client", SERVER[family]))
    assert seen["peer"][0] == (CLIENT[family] if mode == "both" else EGRESS[family])


def _tools(family: int) -> tuple[str, str, str]:
    if family == 4:
        return "iptables-legacy", "ip", "0.0.0.0/0"
    return "ip6tables-legacy", "ip -6", "::/0"


@FAMILIES
def test_a_connection_to_the_listener_itself_is_refused(site: Site, family: int) -> None:
    running = site.gateway(captured("destination", "redirect", family))
    argv = [*ENDPOINTS, "probe", INGRESS[family], str(LISTEN), "--size", "10"]
    done = site.lab.run("client", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    running.wait_for("itself: refused, it would loop")
    assert running.count("accepted connection from") == 1


@FAMILIES
def test_our_own_connection_caught_by_a_rule_is_refused(site: Site, family: int) -> None:
    iptables, _, _ = _tools(family)
    # An administrator forgot to exclude gtunnel from a rule for the gateway's own traffic.
    site.sh("gateway", f"{iptables} -t nat -A OUTPUT -p tcp --dport {PORT} -j REDIRECT --to-ports {LISTEN}")
    site.serve("server", SERVER[family])
    conf = service(f"{accept_on(LOOPBACK[family])}transparent = destination")
    running = site.gateway(conf, netsetup=False)
    argv = [*ENDPOINTS, "probe", SERVER[family], str(PORT), "--size", "10"]
    done = site.lab.run("gateway", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    running.wait_for("is gtunnel's own, caught by the firewall's rules: refused")
    assert running.count("accepted connection from") <= 4


@METHODS
def test_more_connections_than_ports_of_one_client(site: Site, method: str) -> None:
    """`both` takes a source port of the kernel's for each connection, shared between destinations."""
    server = site.serve("server", SERVER[4])
    site.sh("gateway", "echo 40000 40019 > /proc/sys/net/ipv4/ip_local_port_range")
    running = site.gateway(captured("both", method, 4))
    for _ in range(15):
        assert site.probe("client", SERVER[4], size=1000)["same"] is True
    server.wait_for('"peer"', times=15)
    assert running.count("Connection closed") == 15


def test_an_unmodified_curl_over_the_gateway(site: Site, pki: Pki) -> None:
    argv = ["openssl", "s_server", "-accept", f"{SERVER[4]}:80", "-cert", str(pki.server.cert)]
    web = site.in_lab("server", [*argv, "-key", str(pki.server.key), "-www"])
    web.wait_for("ACCEPT")
    conf = service(f"{accept_on(LOOPBACK[4])}transparent = both\ncapture = 80\ncaptureInterface = to-client")
    site.gateway(conf)
    curl = ["curl", "-q", "-sS", "--max-time", "10", f"http://{SERVER[4]}/"]
    done = site.lab.run("client", curl, capture_output=True, text=True)
    assert "s_server" in done.stdout, done.stderr


def test_source_without_rights_is_refused_at_the_start(gtunnel: Tunnels, pki: Pki) -> None:
    conf = f"[x]\naccept = 127.0.0.1:0\nconnect = 1\ncert = {pki.server.pem}\ntransparent = source\n"
    output = gtunnel.refuse(conf, preamble=f"setuid = nobody\n{PREAMBLE}")
    assert "transparent = source needs root, so setuid must not be set" in output


@FAMILIES
def test_the_client_that_a_load_balancer_names_is_the_one_that_the_server_sees(site: Site, family: int) -> None:
    """`acceptProxy` with `transparent = source`: the lab's client is the load balancer, for a neighbour of its own."""
    server = site.serve("server", SERVER[family])
    neighbour = {4: "192.0.2.77", 6: "2001:db8:1::77"}[family]
    proxied = f"connect = {SERVER[family]}:{PORT}\ntransparent = source\nacceptProxy = {CLIENT[family]}\n"
    site.gateway(service(accept_on(INGRESS[family]) + proxied))
    header = f"PROXY TCP{family} {neighbour} {INGRESS[family]} 1024 443\\r\\n"
    target = f"[{INGRESS[6]}]" if family == 6 else INGRESS[4]
    site.sh("client", f"printf '{header}hello' | timeout 5 socat -t 2 - TCP:{target}:{LISTEN}")
    server.wait_for(f'"peer": ["{neighbour}"')
