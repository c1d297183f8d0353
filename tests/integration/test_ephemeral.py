"""`gtunnel run --netsetup` in the lab: the rules live and die with the proxy, whatever it dies of.

client 192.0.2.2 - gateway 192.0.2.1 | 198.51.100.1 - server 198.51.100.2, as in test_transparent.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netsetup.lab import Lab
from tests.gtunnel.daemon.watching import children, soon
from tests.support import accesslines
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, PREAMBLE, READY

pytestmark = pytest.mark.root

ENDPOINTS = [sys.executable, "-m", "tests.support.endpoints"]
PORT, OTHER_PORT, LISTEN, OTHER_LISTEN = 8443, 8444, 9443, 9444


def conf(*, listen: int = LISTEN, port: int = PORT, more: str = "") -> str:
    """A gateway that captures a port."""
    return (
        f"{PREAMBLE}workers = 2\n{more}[gateway]\nclient = yes\naccept = 192.0.2.1:{listen}\n"
        f"transparent = destination\ncapture = {port}\ncaptureInterface = to-client\ncaptureMethod = redirect\n"
    )


class Site:
    """The lab, and a gtunnel on its gateway that brings its rules along."""

    def __init__(self, lab: Lab, in_lab: Callable[..., Daemon], pki: Pki, directory: Path) -> None:
        self.lab = lab
        self.file = directory / "gateway.conf"
        self._in_lab = in_lab
        self._pki = pki
        self.before = self.routing()

    def serve(self, port: int = PORT, host: str = "server", address: str = "198.51.100.2") -> Daemon:
        """A TLS echo server."""
        argv = [*ENDPOINTS, "serve", address, str(port), "--cert", str(self._pki.server.pem)]
        server = self._in_lab(host, argv, env=GTUNNEL_ENVIRONMENT)
        server.wait_for("listening")
        return server

    def start(self, text: str) -> Daemon:
        """Start it, without waiting for anything."""
        self.file.write_text(text)
        return self._in_lab("gateway", [*GTUNNEL, "run", "--netsetup", self.file], env=GTUNNEL_ENVIRONMENT)

    def run(self, text: str) -> Daemon:
        """Run it."""
        running = self.start(text)
        running.wait_for(READY)
        return running

    def reload(self, text: str) -> "subprocess.CompletedProcess[str]":
        """Another configuration."""
        self.file.write_text(text)
        return self.gateway("reload", "--wait", str(self.file))

    def gateway(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command on the gateway."""
        return self.lab.run(
            "gateway", [*GTUNNEL, *arguments], env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=60
        )

    def probe(self, port: int = PORT) -> bool:
        """Whether a client's plaintext comes back from the TLS server, all of it."""
        argv = [*ENDPOINTS, "probe", "198.51.100.2", str(port), "--size", "100000"]
        done = self.lab.run("client", argv, env=GTUNNEL_ENVIRONMENT, capture_output=True, text=True, timeout=60)
        seen: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
        return seen.get("same") is True

    def routing(self) -> str:
        """The gateway's ip rules and routes."""
        return self._said("ip rule; ip -6 rule; ip route show table all; ip -6 route show table all")

    @property
    def rules(self) -> bool:
        """Whether the gateway's firewall has something of ours, whatever wrote it."""
        return "gtunnel" in self._said("iptables-legacy-save; ip6tables-legacy-save; nft list ruleset")

    def nothing_is_left(self) -> bool:
        """Whether nothing of ours is in the gateway's kernel."""
        return not self.rules and self.routing() == self.before

    def _said(self, script: str) -> str:
        return str(self.lab.run("gateway", ["sh", "-c", script], capture_output=True, text=True).stdout)


@pytest.fixture
def site(lab: Lab, in_lab: Callable[..., Daemon], pki: Pki, tmp_path: Path) -> Site:
    return Site(lab, in_lab, pki, tmp_path)


def started(site: Site) -> set[int]:
    """The processes that were started with the site's file, and are there."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if str(site.file).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def test_rules_come_with_it_and_go_with_it(site: Site) -> None:
    site.serve()
    access = site.file.with_name("access.log")
    running = site.run(conf(more=f"accessLog = {access}\n"))
    assert site.gateway("netsetup", "status", str(site.file)).returncode == 0
    assert site.rules
    assert site.probe()
    (line,) = accesslines.wait_for(access, 1)
    assert line["destination"] == line["target"] == f"198.51.100.2:{PORT}"
    assert (line["client"] or "").startswith("192.0.2.2:")
    assert (line["end"], line["tls"], line["to_target"]) == ("closed", "TLSv1.3", line["to_client"])
    # What a service manager or a terminal sends to all of them does not end the guardian before its time.
    (guardian,) = started(site) - children(running.pid) - {running.pid}
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(guardian, number)
    running.send(signal.SIGTERM)
    assert running.wait() == 0
    # At once: who has stopped it need not wait for anything else.
    assert site.nothing_is_left()
    assert soon(lambda: not started(site))


@pytest.mark.parametrize("more", ["", "setuid = daemon\n"], ids=["root", "setuid"])
def test_rules_go_when_it_is_killed(site: Site, more: str) -> None:
    site.serve()
    running = site.run(conf(more=more))
    assert site.probe()
    running.send(signal.SIGKILL)
    running.wait()
    assert soon(lambda: not started(site))
    assert site.nothing_is_left()


def test_a_start_that_fails_leaves_nothing(site: Site) -> None:
    # Somebody else's: table 77 is not ours to use, nor is the port.
    site.lab.run("gateway", ["ip", "route", "add", "local", "203.0.113.7", "dev", "lo", "table", "77"])
    site.before = site.routing()
    site.serve(OTHER_LISTEN, "gateway", "192.0.2.1")
    nothing = f"{PREAMBLE}[x]\nclient = yes\naccept = 127.0.0.1:9\nconnect = 127.0.0.1:8\n"
    failing = {
        conf() + "nonsense = 1\n": "Specified option name is not valid here",
        conf(listen=OTHER_LISTEN): "Address already in use",
        conf(more="netTable = 77\n").replace("= redirect", "= tproxy"): "table 77",
        nothing: "nothing to set up",
    }
    for text, says in failing.items():
        running = site.start(text)
        assert running.wait(30) == 1
        assert says in running.output
        assert READY not in running.output
    assert site.nothing_is_left()
    assert not started(site)


def test_a_reload_changes_the_rules_or_leaves_everything_as_it_was(site: Site) -> None:
    site.serve()
    site.serve(OTHER_PORT)
    running = site.run(conf())
    # Who is connected does not mind.
    argv = [*ENDPOINTS, "probe", "198.51.100.2", str(PORT), "--size", str(64 << 20)]
    client = site.lab.popen("client", argv, env=GTUNNEL_ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    running.wait_for("connected remote server")
    done = site.reload(conf(listen=OTHER_LISTEN, port=OTHER_PORT))
    assert done.returncode == 0, done.stderr
    assert site.probe(OTHER_PORT)
    assert not site.probe()
    # What netsetup refuses is refused as what the parser refuses is.
    site.lab.run("gateway", ["ip", "route", "add", "local", "203.0.113.7", "dev", "lo", "table", "77"])
    taken = conf(more="netTable = 77\n").replace("= redirect", "= tproxy")
    for broken, says in ((taken, "table 77"), (conf() + "nonsense\n", "No '=' found")):
        done = site.reload(broken)
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr
        assert site.probe(OTHER_PORT)
    assert json.loads(client.communicate(timeout=120)[0])["same"] is True
    assert running.stop() == 0
    site.lab.run("gateway", ["ip", "route", "del", "local", "203.0.113.7", "dev", "lo", "table", "77"])
    assert site.nothing_is_left()


def test_what_was_applied_to_stay_is_not_taken_over(site: Site) -> None:
    site.file.write_text(conf())
    assert site.gateway("netsetup", "apply", str(site.file)).returncode == 0
    running = site.start(conf())
    assert running.wait(30) == 1
    assert "`gtunnel netsetup apply` has set up" in running.output
    assert soon(lambda: not started(site))
    assert site.gateway("netsetup", "status", str(site.file)).returncode == 0


def test_in_the_background_the_command_returns_when_the_rules_are_there(site: Site, tmp_path: Path) -> None:
    text = conf(more=f"pid = {tmp_path}/pid\noutput = {tmp_path}/log\n").replace("foreground = yes", "foreground = no")
    text = text.replace("pid =\n", "", 1)
    command = site.start(text)
    # Its output ends with it: nobody whom it leaves behind holds that open.
    assert command.wait(30) == 0
    assert site.rules
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert soon(site.nothing_is_left)


def test_no_captured_connection_is_lost_at_the_start(site: Site) -> None:
    """Who connects all the time meets the server itself (which wants TLS), and then gtunnel; nobody in between."""
    site.serve()
    script = f"""
import socket, sys, time
end, captured = time.monotonic() + 60, 0
while captured < 20 and time.monotonic() < end:
    with socket.create_connection(("198.51.100.2", {PORT}), timeout=20) as one:
        one.settimeout(0.05)
        try:
            sys.exit(f"lost: {{one.recv(1)!r}}")
        except TimeoutError:
            one.settimeout(20)
        try:
            one.sendall(b"hello")
            one.shutdown(socket.SHUT_WR)
            said = one.recv(100)
        except OSError:
            said = b""
    if captured and said != b"hello":
        sys.exit("lost: captured no more")
    captured += said == b"hello"
    print("captured" if captured else "direct", flush=True)
print("done", captured, flush=True)
"""
    client = Daemon([sys.executable, "-c", script], launch=partial(site.lab.popen, "client"))
    client.wait_for("direct")
    site.run(conf())
    client.wait_for("done 20", timeout=60)
    assert client.wait() == 0
