"""Two hours of a busy gateway in less than a minute: 5,000 transparent connections, and fewer ports than connections.

With `transparent = both` each connection takes a port of the client's address on the gateway. The kernel chooses it
when it connects (IP_BIND_ADDRESS_NO_PORT), so one port serves several servers at once.
"""

import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netsetup.lab import Lab
from tests.support import accesslines
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, READY

pytestmark = pytest.mark.root

AT_ONCE = 200
ROUNDS = 25
PORTS = (40000, 40069)
SERVERS = [f"{host}:{port}" for port in range(8441, 8445) for host in ("198.51.100.2", "2001:db8:2::2")]
CROWD = [sys.executable, "-m", "tests.support.crowd"]
CONF = """\
foreground = yes
pid =
syslog = no
debug = info
accessLog = {directory}/access.log

[gateway]
debug = err
client = yes
accept = 127.0.0.1:9443
accept = ::1:9443
transparent = both
capture = 8441-8444
captureInterface = to-client
captureMethod = tproxy
"""
# The same gtunnel, which asks the kernel for something that changes nothing (IP_RECVTTL) instead.
WITHOUT = [
    sys.executable,
    "-c",
    "import sys; from gtunnel.net import sockopts; sockopts.IP_BIND_ADDRESS_NO_PORT = 12; "
    "from gtunnel.cli.main import entry; sys.exit(entry())",
]


def come(lab: Lab, directory: Path, pki: Pki, gtunnel: list[str], rounds: int) -> dict[str, Any]:
    """Let a crowd of one client's connections come through a gateway with few ports. Returns what the client says."""
    conf = directory / "gateway.conf"
    conf.write_text(CONF.format(directory=directory))
    # The client's own ports are others, so that the count is exact: until a server has answered, a connection from the
    # port that gtunnel uses towards it is taken for a loop (`LoopGuard`).
    for host, (first, last) in (("gateway", PORTS), ("client", (50000, 60999))):
        narrow = f"echo {first} {last} > /proc/sys/net/ipv4/ip_local_port_range"
        assert lab.run(host, ["sh", "-c", narrow]).returncode == 0
    apply = [*GTUNNEL, "netsetup", "apply", str(conf)]
    assert lab.run("gateway", apply, env=GTUNNEL_ENVIRONMENT, capture_output=True).returncode == 0
    serve = [*CROWD, "serve", "--cert", str(pki.server.pem), *SERVERS]
    with (
        Daemon(serve, env=GTUNNEL_ENVIRONMENT, launch=partial(lab.popen, "server")) as server,
        Daemon([*gtunnel, str(conf)], env=GTUNNEL_ENVIRONMENT, launch=partial(lab.popen, "gateway")) as gateway,
    ):
        server.wait_for("listening")
        gateway.wait_for(READY)
        argv = [*CROWD, "come", "--rounds", str(rounds), "--at-once", str(AT_ONCE), *SERVERS]
        done = lab.run("client", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        seen["log"] = gateway.output
    return seen


def test_none_is_lost_and_no_port_exhausted(lab: Lab, pki: Pki, tmp_path: Path) -> None:
    seen = come(lab, tmp_path, pki, GTUNNEL, ROUNDS)
    assert seen["lost"] == {}, seen["log"]
    assert seen["kept"] == ROUNDS * AT_ONCE
    lines = accesslines.wait_for(tmp_path / "access.log", ROUNDS * AT_ONCE)
    assert Counter(line["end"] for line in lines) == {"closed": ROUNDS * AT_ONCE}
    assert {str(line["destination"]) for line in lines} == {line["target"] for line in lines}


def test_ports_run_out_where_bind_chooses_them(lab: Lab, pki: Pki, tmp_path: Path) -> None:
    """The test above can fail: one port for each connection of a client's address is not enough."""
    seen = come(lab, tmp_path, pki, WITHOUT, 1)
    # An address of each IP version, with a port for each connection.
    most = 2 * (PORTS[1] - PORTS[0] + 1)
    assert 0 < seen["kept"] <= most
    assert sum(seen["lost"].values()) == AT_ONCE - seen["kept"]
    assert "Address already in use" in seen["log"]
