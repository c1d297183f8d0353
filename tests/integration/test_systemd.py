"""The installed units under Debian's systemd: what they start, may do, and survive.

One machine is booted for all of these tests. It is the gateway between two network namespaces, client 192.0.2.2 and
server 198.51.100.2; gtunnel is installed there as docs/install.md has it.
"""

import itertools
import os
import re
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import pages, tls
from tests.support.certificates import Pki
from tests.support.machine import PATIENCE, Machine
from tests.support.servers import Server, echo
from tests.support.tls import TlsPeer

pytestmark = pytest.mark.root

GATEWAY, CLIENT, SERVER = "192.0.2.1", "192.0.2.2", "198.51.100.2"
UNIT, NETSETUP = "gtunnel.service", "gtunnel-netsetup.service"
CONF = "/etc/gtunnel/gtunnel.conf"
# CAP_NET_BIND_SERVICE and CAP_NET_ADMIN.
RIGHTS = f"{1 << 10 | 1 << 12:016x}"

NETWORK = f"""
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1
for name in client server; do
    ip netns add $name
    ip link add to-$name type veth peer name uplink netns $name
    ip link set to-$name up
    ip -n $name link set lo up
    ip -n $name link set uplink up
done
ip addr add {GATEWAY}/24 dev to-client
ip addr add 198.51.100.1/24 dev to-server
ip -n client addr add {CLIENT}/24 dev uplink
ip -n server addr add {SERVER}/24 dev uplink
ip -n client route add default via {GATEWAY}
ip -n server route add default via 198.51.100.1
"""

# What a program sees of the sandbox that it inherits.
SHOW = """#!/bin/sh
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
ls /home
touch /etc/gtunnel/mine 2>&1
tty
"""

CONFIGURATION = f"""
cert = /etc/gtunnel/server.pem
[connect]
accept = {GATEWAY}:443
connect = 127.0.0.1:7000

[exec]
accept = {GATEWAY}:4001
exec = /usr/local/bin/show

[pty]
accept = {GATEWAY}:4002
exec = /usr/local/bin/show
pty = yes

[wrapped]
accept = {GATEWAY}:4003
connect = 127.0.0.1:7000
libwrap = yes

[delayed]
accept = {GATEWAY}:4004
connect = backend.example.org:7000
delay = yes

[source]
client = yes
accept = {GATEWAY}:4005
connect = {SERVER}:8443
transparent = source

[both]
client = yes
accept = {GATEWAY}:4006
transparent = both
capture = 8443
captureInterface = to-client
"""


class Site:
    """The machine, with gtunnel installed and configured, and servers behind it."""

    def __init__(self, machine: Machine, pki: Pki, far: Server) -> None:
        self.machine = machine
        self.far = far
        self.context = tls.client_context(str(pki.ca))

    def connect(self, port: int = 443, *, source: str | None = "client", host: str = GATEWAY) -> TlsPeer:
        """A TLS client in a namespace; None: on the gateway itself."""
        with self.machine.network(source):
            return tls.connect(port, self.context, host=host)

    def served(self, port: int = 443, **options: str | None) -> bool:
        """Whether what a client sends comes back."""
        try:
            with self.connect(port, **options) as peer:  # type: ignore[arg-type]
                return echoes(peer)
        except (OSError, tls.TruncatedError):
            return False

    def said(self, port: int) -> str:
        """All that a service says by itself."""
        with self.connect(port) as peer:
            return peer.receive_all().decode()

    def configure(self, text: str, path: str = CONF) -> None:
        """Write a configuration."""
        self.machine.write(path, text)


_words = (f"word {number}\n".encode() for number in itertools.count())


def echoes(peer: TlsPeer) -> bool:
    """Whether a connection is alive, there and back."""
    word = next(_words)
    try:
        peer.send(word)
        return peer.receive_exactly(len(word)) == word
    except (OSError, tls.TruncatedError):
        return False


def until(condition: Callable[[], bool]) -> bool:
    """Wait for something that others bring about."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, pki: Pki) -> Iterator[Site]:
    with Machine(tmp_path_factory.mktemp("systemd")) as machine:
        machine.install(debian=os.environ.get("GTUNNEL_BUILD") == "debian")
        machine.run("sh", "-ec", NETWORK)
        machine.write("/etc/gtunnel/server.pem", pki.server.pem.read_text(), group="gtunnel", mode=0o640)
        machine.write("/usr/local/bin/show", SHOW, mode=0o755)
        machine.write("/etc/hosts.allow", "")
        machine.write("/etc/hosts.deny", f"wrapped: {CLIENT}\n")
        machine.write("/etc/hosts", f"127.0.0.1 localhost backend.example.org\n{GATEWAY} machine\n{CLIENT} client\n")
        with machine.network():
            behind = Server(echo, port=7000)
        with behind:
            with machine.network("server"):
                far = Server(tls.serve(tls.tls_echo, tls.server_context(pki.server)), host=SERVER, port=8443)
            with far:
                yield Site(machine, pki, far)


@pytest.fixture
def running(site: Site) -> Iterator[Site]:
    """The service with the configuration above."""
    site.configure(CONFIGURATION)
    site.machine.systemctl("start", UNIT)
    yield site
    site.machine.systemctl("stop", UNIT)
    assert site.machine.show(UNIT, "Result") == "success"
    assert "Traceback" not in site.machine.journal(UNIT)


@pytest.fixture
def transparent(running: Site) -> Iterator[Site]:
    """And the kernel set up for it, by the other unit."""
    running.machine.systemctl("start", NETSETUP)
    yield running
    running.machine.systemctl("stop", NETSETUP)


def test_it_is_ready_when_its_ports_accept(running: Site) -> None:
    for _ in range(2):
        running.machine.systemctl("restart", UNIT)
        # At once, without waiting for anything.
        with running.connect() as peer:
            assert echoes(peer)
    assert running.machine.show(UNIT, "StatusText") == "Serving 7 services"


def test_its_processes_have_two_rights_and_no_way_to_more(running: Site) -> None:
    machine = running.machine
    user = machine.run("id", "-u", "gtunnel").stdout.strip()
    pids = machine.processes(UNIT)
    assert len(pids) >= 2
    for pid in pids:
        status = machine.status(pid)
        assert status["Uid"].split() == [user] * 4
        assert {status["CapEff"], status["CapPrm"], status["CapBnd"]} == {RIGHTS}
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        limits = machine.path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)


@pytest.mark.parametrize(("unit", "limit"), [(UNIT, 1.9), (NETSETUP, 2.4)])
def test_its_exposure_is_small(site: Site, unit: str, limit: float) -> None:
    # On Debian 12. The exit status says whether it is below systemd's own idea of a limit.
    said = site.machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert float(exposure) <= limit


def test_programs_run_within_the_same_limits(running: Site) -> None:
    said = running.said(4001)
    # gtunnel's own rights are not for them.
    assert f"CapEff:\t{0:016x}\nCapBnd:\t{RIGHTS}\nNoNewPrivs:\t1\nSeccomp:\t2" in said
    assert "cannot touch '/etc/gtunnel/mine': Read-only file system" in said
    assert said.endswith("not a tty\n")


def test_a_program_may_have_a_terminal(running: Site) -> None:
    assert re.search(r"/dev/pts/\d+\s*$", running.said(4002))


def test_tcp_wrappers_are_asked(running: Site) -> None:
    assert running.served(4003, source=None)
    assert not running.served(4003)
    assert f"Service [wrapped] REFUSED by libwrap from {CLIENT}" in running.machine.journal(UNIT)


def test_names_are_looked_up_for_each_connection(running: Site) -> None:
    assert running.served(4004)


def test_servers_see_the_client(transparent: Site) -> None:
    # `source`, and `both`.
    for host, port in (GATEWAY, 4005), (SERVER, 8443):
        before = len(transparent.far.peers)
        with transparent.machine.network("client"):
            client = socket.create_connection((host, port), timeout=tls.TIMEOUT)
        with client:
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        assert [peer[0] for peer in transparent.far.peers[before:]] == [CLIENT]


def test_a_reload_changes_services_and_no_connection(running: Site) -> None:
    with running.connect() as live:
        assert echoes(live)
        running.configure(CONFIGURATION.replace(f"{GATEWAY}:4004", f"{GATEWAY}:5004"))
        running.machine.systemctl("reload", UNIT)
        assert running.served(5004)
        assert not running.served(4004)
        assert echoes(live)


def test_a_reload_that_fails_says_why_and_changes_nothing(running: Site) -> None:
    with running.connect() as live:
        assert echoes(live)
        running.configure(CONFIGURATION + "transparent = sometimes\n")
        done = running.machine.systemctl("reload", UNIT, check=False)
        assert done.returncode != 0
        line = CONFIGURATION.count("\n") + 1
        assert f"{CONF}:{line}: " in running.machine.journal(UNIT)
        assert running.machine.show(UNIT, "ActiveState") == "active"
        assert echoes(live)
        assert running.served()


def test_a_broken_configuration_does_not_start(site: Site) -> None:
    site.configure("nonsense = yes\n")
    # It is tried again and again: that is Restart=on-failure, and the limit on starts.
    assert site.machine.systemctl("start", UNIT, check=False).returncode != 0
    site.machine.systemctl("stop", UNIT)
    # Not there any more if it was not between two tries.
    site.machine.systemctl("reset-failed", UNIT, check=False)
    assert f"{CONF}:1: " in site.machine.journal(UNIT)


def test_it_stops_and_leaves_nothing(running: Site) -> None:
    with running.connect() as live:
        assert echoes(live)
        running.machine.systemctl("stop", UNIT)
        assert running.machine.show(UNIT, "Result") == "success"
        assert not echoes(live)
    assert not running.served()
    assert running.machine.run("pgrep", "-u", "gtunnel", check=False).stdout == ""
    assert list(running.machine.path("/run/gtunnel/control").iterdir()) == []


def test_a_killed_supervisor_is_started_again(running: Site) -> None:
    machine = running.machine
    before = machine.processes(UNIT)
    machine.run("kill", "-KILL", str(before[0]))
    assert until(lambda: machine.show(UNIT, "NRestarts") == "1" and machine.show(UNIT, "ActiveState") == "active")
    assert running.served()
    assert not set(before) & set(machine.processes(UNIT))


def test_a_worker_that_hangs_is_replaced(running: Site) -> None:
    machine = running.machine
    drop_in = f"/run/systemd/system/{UNIT}.d/sooner.conf"
    # Workers are asked after half of it, and have three seconds for their answer.
    machine.write(drop_in, "[Service]\nWatchdogSec=12\n")
    machine.systemctl("daemon-reload")
    try:
        machine.systemctl("restart", UNIT)
        main, *workers = machine.processes(UNIT)
        machine.run("kill", "-STOP", str(workers[0]))
        assert until(lambda: workers[0] not in machine.processes(UNIT) and len(machine.processes(UNIT)) > len(workers))
        assert machine.processes(UNIT)[0] == main
        assert machine.show(UNIT, "NRestarts") == "0"
        assert running.served()
    finally:
        machine.path(drop_in).unlink()
        machine.systemctl("daemon-reload")


def test_sockets_of_systemd(site: Site) -> None:
    machine = site.machine
    machine.write("/etc/systemd/system/gtunnel.socket", pages.block("install.md", "gtunnel.socket", {}))
    site.configure(
        "cert = /etc/gtunnel/server.pem\n[all]\naccept = 443\nconnect = 127.0.0.1:7000\n"
        "[here]\naccept = ::1:8443\nconnect = 127.0.0.1:7000\n"
    )
    machine.systemctl("daemon-reload")
    machine.systemctl("start", "gtunnel.socket")
    try:
        assert machine.show(UNIT, "ActiveState") == "inactive"
        # The first connection starts it.
        assert site.served()
        assert until(lambda: machine.show(UNIT, "ActiveState") == "active")
        assert site.served(8443, source=None, host="::1")
        pid = machine.processes(UNIT)[0]
        machine.systemctl("restart", UNIT)
        assert machine.processes(UNIT)[0] != pid
        assert site.served()
    finally:
        machine.systemctl("stop", "gtunnel.socket", UNIT)
        machine.path("/etc/systemd/system/gtunnel.socket").unlink()
        machine.systemctl("daemon-reload")


def test_another_configuration_is_an_instance(running: Site) -> None:
    machine = running.machine
    mail = "cert = /etc/gtunnel/server.pem\n[mail]\naccept = 192.0.2.1:465\nconnect = 127.0.0.1:7000\n"
    running.configure(mail, "/etc/gtunnel/mail.conf")
    machine.systemctl("start", "gtunnel@mail.service")
    try:
        assert running.served(465)
        running.configure(mail.replace(":465", ":995"), "/etc/gtunnel/mail.conf")
        machine.systemctl("reload", "gtunnel@mail.service")
        assert running.served(995)
    finally:
        machine.systemctl("stop", "gtunnel@mail.service")
    assert not running.served(995)
    assert running.served()


def in_sync(machine: Machine, path: str = CONF) -> bool:
    """What `gtunnel netsetup status` says."""
    return machine.run("gtunnel", "netsetup", "status", path, check=False).returncode == 0


def test_the_kernel_is_set_up_before_the_service_starts_at_boot(site: Site) -> None:
    machine = site.machine
    site.configure(CONFIGURATION)
    machine.write("/run/systemd/system/before.target", "[Unit]\nRequires=basic.target\nAllowIsolate=yes\n")
    machine.systemctl("enable", UNIT, NETSETUP)
    try:
        machine.systemctl("isolate", "before.target")
        assert machine.show(NETSETUP, "ActiveState") == "inactive"
        machine.systemctl("isolate", "multi-user.target")
        assert in_sync(machine)
        assert site.served()
        set_up = int(machine.show(NETSETUP, "ActiveEnterTimestampMonotonic"))
        assert set_up <= int(machine.show(UNIT, "InactiveExitTimestampMonotonic"))
    finally:
        machine.systemctl("disable", UNIT, NETSETUP)
        machine.systemctl("stop", UNIT, NETSETUP)
    rules = machine.run("sh", "-ec", "ip rule; ip -6 rule; iptables-legacy-save; nft list ruleset").stdout
    assert "gtunnel" not in rules
    assert "157" not in rules


@pytest.mark.parametrize("backend", ["auto", "iptables"])
def test_a_changed_configuration_is_applied_by_a_reload(site: Site, backend: str) -> None:
    machine = site.machine
    original = f"netBackend = {backend}\n{CONFIGURATION}"
    # By NAT to the loopback address, so that a sysctl has to be changed as well.
    route_localnet = ("sysctl", "-n", "net.ipv4.conf.to-client.route_localnet")
    changed = original.replace(f"{GATEWAY}:4006", "127.0.0.1:4006") + "captureMethod = redirect\n"
    site.configure(original)
    machine.systemctl("start", NETSETUP)
    try:
        site.configure(changed)
        assert not in_sync(machine)
        machine.systemctl("reload", NETSETUP)
        assert in_sync(machine)
        assert machine.run(*route_localnet).stdout == "1\n"
        site.configure("nonsense\n")
        assert machine.systemctl("reload", NETSETUP, check=False).returncode != 0
        site.configure(changed)
        assert in_sync(machine)
    finally:
        machine.systemctl("stop", NETSETUP)
    assert machine.run(*route_localnet).stdout == "0\n"


def test_a_firewall_that_flushes_everything_is_followed(site: Site) -> None:
    machine = site.machine
    site.configure(CONFIGURATION)
    machine.systemctl("start", "nftables.service", NETSETUP)
    try:
        assert "table inet gtunnel" in machine.run("nft", "list", "ruleset").stdout
        for action in ("reload", "restart"):
            machine.systemctl(action, "nftables.service")
            assert until(lambda: in_sync(machine))
    finally:
        machine.systemctl("stop", NETSETUP, "nftables.service")


def test_instances_live_side_by_side(site: Site) -> None:
    machine = site.machine
    other = "netName = other\nnetMark = 0x100/0xf00\nnetTable = 200\nnetPriority = 6000\n"
    site.configure(CONFIGURATION)
    site.configure(other + CONFIGURATION.replace("capture = 8443", "capture = 9443"), "/etc/gtunnel/other.conf")
    machine.systemctl("start", NETSETUP)
    machine.systemctl("start", "gtunnel-netsetup@other.service")
    try:
        assert in_sync(machine)
        assert in_sync(machine, "/etc/gtunnel/other.conf")
        machine.systemctl("stop", NETSETUP)
        assert not in_sync(machine)
        assert in_sync(machine, "/etc/gtunnel/other.conf")
    finally:
        machine.systemctl("stop", "gtunnel-netsetup@other.service", NETSETUP)
    assert "table inet" not in machine.run("nft", "list", "ruleset").stdout
