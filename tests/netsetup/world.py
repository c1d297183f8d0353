"""Three hosts in namespaces for netsetup's own tests: client - gateway - server, with rules of others on the gateway.

Not `netsetup.lab`: what is tested here must not rest on what it is beside. Names are unique per process and world.
"""

import itertools
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from netsetup.kernel.namespace import enter

CLIENT = {4: "192.0.2.2", 6: "2001:db8:1::2"}
INGRESS = {4: "192.0.2.1", 6: "2001:db8:1::1"}
EGRESS = {4: "198.51.100.1", 6: "2001:db8:2::1"}
SERVER = {4: "198.51.100.2", 6: "2001:db8:2::2"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
ANY = {4: "0.0.0.0", 6: "::"}

ROOT = Path(__file__).resolve().parents[2]
_STANDIN = "tests.netsetup.standin"
_numbers = itertools.count(1)

_FOREIGN = (
    "iptables-legacy -t mangle -A PREROUTING -p udp --dport 53 -j MARK --set-xmark 0x10000/0xff0000",
    "iptables-legacy -t mangle -N others",
    "iptables-legacy -t mangle -A others -p tcp --dport 2222 -m comment --comment gtunnels -j MARK --or-mark 0x20000",
    "iptables-legacy -t mangle -A OUTPUT -j others",
    "iptables-legacy -t nat -A POSTROUTING -o nowhere0 -j MASQUERADE",
    "iptables-legacy -t nat -A PREROUTING -p tcp --dport 2222 -j REDIRECT --to-ports 22",
    "iptables-legacy -A INPUT -m conntrack --ctstate INVALID -j DROP",
    "ip6tables-legacy -t mangle -A PREROUTING -p udp --dport 53 -j MARK --set-xmark 0x10000/0xff0000",
    "ip6tables-legacy -t nat -A POSTROUTING -o nowhere0 -j MASQUERADE",
    "ip6tables-legacy -A INPUT -m conntrack --ctstate INVALID -j DROP",
    "nft add table inet others",
    "nft add chain inet others pre { type filter hook prerouting priority mangle ; policy accept ; }",
    "nft add rule inet others pre udp dport 53 counter meta mark set meta mark & 0xff00ffff | 0x10000",
    "nft add chain inet others nat { type nat hook prerouting priority dstnat ; }",
    "nft add rule inet others nat tcp dport 2223 redirect to :22",
    "iptables-nft -t mangle -A OUTPUT -p udp --dport 53 -j MARK --set-xmark 0x10000/0xff0000",
    "ip -4 rule add pref 900 fwmark 0x10000/0xff0000 lookup 900",
    "ip -6 rule add pref 900 fwmark 0x10000/0xff0000 lookup 900",
    "ip -4 route add 203.0.113.0/24 via 198.51.100.2 table 900 proto static",
    "ip -6 route add 2001:db8:900::/48 via 2001:db8:2::2 table 900 proto static",
)
"""What others have set up on the gateway before us. It has to be there, to the byte, after us."""


class World:
    """The namespaces exist while the context lasts, and are gone after it, whatever happened inside."""

    def __init__(self) -> None:
        stem = f"gtt-{os.getpid()}-{next(_numbers)}"
        self.client, self.gateway, self.server = f"{stem}-c", f"{stem}-g", f"{stem}-s"

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def run(self, host: str, command: str) -> str:
        """Standard output of a command (split at spaces) on a host. Fails loudly."""
        return run(["ip", "netns", "exec", host, *command.split()])

    def start(self, host: str, *arguments: str) -> subprocess.Popen[str]:
        """A stand-in (see `standin`) on a host; it has said "ready" when this returns."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", host, sys.executable, "-m", _STANDIN, *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{arguments} did not start on {host}"
        return process

    def ask(self, host: str, address: str, port: int, size: int = 1 << 20) -> dict[str, Any]:
        """Talk to address:port from a host as `standin.client` does; what was seen, or {"error": …}."""
        done = subprocess.run(
            ["ip", "netns", "exec", host, sys.executable, "-m", _STANDIN, "client", address, str(port), str(size)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=30,
            check=True,
        )
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen

    def snapshot(self) -> dict[str, str]:
        """All of the gateway's state that netsetup could touch, as text without time stamps and counters."""
        commands = {
            "iptables": "iptables-legacy-save",
            "ip6tables": "ip6tables-legacy-save",
            "nft": "nft -s list ruleset",
            "rules": "ip -4 rule show",
            "rules6": "ip -6 rule show",
            "routes": "ip -4 route show table all",
            "routes6": "ip -6 route show table all",
            "sysctls": "sysctl -a --pattern ^net\\.",
        }
        return {name: _without_time(self.run(self.gateway, command)) for name, command in commands.items()}

    def _build(self) -> None:
        for host in (self.client, self.gateway, self.server):
            run(["ip", "netns", "add", host])
            self.run(host, "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0")
            self.run(host, "ip link set lo up")
        for host, link, ours, theirs in (
            (self.client, "eth1", INGRESS, CLIENT),
            (self.server, "eth2", EGRESS, SERVER),
        ):
            cable = f"ip link add {link} netns {self.gateway} type veth peer name eth0 netns {host}"
            run(cable.split())
            for name, interface, addresses in ((self.gateway, link, ours), (host, "eth0", theirs)):
                self.run(name, f"ip link set {interface} up")
                self.run(name, f"ip addr add {addresses[4]}/24 dev {interface}")
                self.run(name, f"ip addr add {addresses[6]}/64 dev {interface} nodad")
            self.run(host, f"ip route add default via {ours[4]}")
            self.run(host, f"ip -6 route add default via {ours[6]}")
        self.run(self.gateway, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        for command in _FOREIGN:
            self.run(self.gateway, command)

    def _remove(self) -> None:
        for host in (self.client, self.gateway, self.server):
            subprocess.run(["ip", "netns", "del", host], capture_output=True, check=False)


def run(argv: Sequence[str]) -> str:
    """Standard output of a command; what it said goes into the error if it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr or done.stdout}"
    return done.stdout


def _without_time(text: str) -> str:
    """Comments of iptables-save have the time; policies have counters; some sysctls count by themselves."""
    lines = [line.split(" [")[0] if line.startswith(":") else line for line in text.splitlines()]
    moving = ("#", "net.netfilter.nf_conntrack_count", "net.ipv6.route.flush", "net.ipv4.route.flush")
    return "\n".join(line for line in lines if not line.startswith(moving))


def inside(namespace: str, function: Callable[[], None]) -> None:
    """Run `function` in a forked child that has entered the namespace; what it raises fails the test."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter(namespace)
            function()
        except BaseException:  # noqa: BLE001 - reported by the parent
            os.write(writing, traceback.format_exc().encode()[-60000:])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        failure = pipe.read().decode()
    os.waitpid(child, 0)
    assert not failure, failure
