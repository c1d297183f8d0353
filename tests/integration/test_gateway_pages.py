"""docs/gateway-*.md: their configurations and commands as they stand there, in the lab, whose addresses the pages use.

What they say that one sees is compared: lines of `plan`, and the access line but for what differs each time.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM

import pytest

from gtunnel.demo.certificate import SelfSigned, make
from gtunnel.demo.program import python
from gtunnel.demo.web import READY, Sight
from netsetup.lab import Lab
from tests.support import accesslines
from tests.support.daemon import Daemon
from tests.support.pages import block
from tests.support.tunnels import ROOT

pytestmark = pytest.mark.root

SERVER = "198.51.100.2"
SERVER_V6 = "2001:db8:2::2"
OWN = ("192.0.2.1", "198.51.100.1", "127.0.0.1", "203.0.113.2")
INTERFACES = {"eth1": "to-client"}
TITLE = "/etc/gtunnel/gtunnel.conf"
# What is another one each time.
VARIES = ("time", "id", "cipher", "duration", "to_target", "to_client")
PREAMBLE = "pid = {directory}/pid\noutput = {directory}/log\nsyslog = no\n"
# Appends the configuration where the pages mean /etc/gtunnel/gtunnel.conf.
PROGRAM = """\
#!/bin/sh
export PYTHONPATH={root}
exec {python} -c 'import sys; from gtunnel.cli.main import entry; sys.exit(entry())' "$@" {file}
"""
InLab = Callable[..., Daemon]


@dataclass
class Machine:
    """The lab, one page, and the machine's places for those that the page names."""

    page: str
    lab: Lab
    in_lab: InLab
    directory: Path
    certificate: SelfSigned
    output: str = ""

    @property
    def file(self) -> Path:
        return self.directory / "gtunnel.conf"

    def configure(self, title: str = TITLE) -> None:
        """Write the page's configuration."""
        places = {
            "/var/log/gtunnel/access.log": self.directory / "access.log",
            "/etc/gtunnel/servers-ca.pem": self.certificate.cert,
            "/etc/gtunnel/server.pem": self.directory / "server.pem",
            **INTERFACES,
        }
        text = self.block(title, places)
        assert str(self.directory / "access.log") in text
        self.file.write_text(PREAMBLE.format(directory=self.directory) + text)

    def block(self, title: str, places: dict[str, object]) -> str:
        """A block of the page, with those of the places that are in it replaced by this machine's."""
        text = block(self.page, title, {})
        return block(self.page, title, {place: here for place, here in places.items() if place in text})

    def run(self, title: str, host: str = "gateway") -> str:
        """Run the page's commands on a host; each must succeed. Returns, and keeps, what they wrote."""
        self.output = self.sh(host, self.block(title, {"ca.pem": self.certificate.cert, **INTERFACES}))
        return self.output

    def sh(self, host: str, script: str, *, status: tuple[int, ...] = (0,)) -> str:
        """A shell script on a host, where `gtunnel` is this one with the page's configuration."""
        argv = ["env", f"PATH={self.directory}:{os.environ['PATH']}", "sh", "-e", "-c", script]
        done = self.lab.run(host, argv, stdin=subprocess.DEVNULL, stdout=-1, stderr=subprocess.STDOUT, text=True)
        assert done.returncode in status, f"{script}\n{done.stdout}\n{self.log}"
        return str(done.stdout)

    def assert_says(self, title: str) -> None:
        """Each line of a block of the page stands in what the commands wrote."""
        for line in self.block(title, {**INTERFACES}).splitlines():
            assert line in self.output.splitlines(), f"{line}\nis not in\n{self.output}"

    def assert_logged(self, title: str = "the access line") -> None:
        """The first line of the access log is the page's, but for what differs each time."""
        shown = accesslines.parse(block(self.page, title, {}).replace("\n", " ").strip())
        (found, *_) = accesslines.wait_for(self.directory / "access.log", 1)
        assert _steady(found) == _steady(shown)

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def serve(self, host: str, port: int, *addresses: str, tls: bool) -> None:
        """A web server whose page says whom it sees."""
        argv = [*python("gtunnel.demo.web", "main"), str(port), *addresses]
        if tls:
            argv += ["--cert", str(self.certificate.cert), "--key", str(self.certificate.key)]
        self.in_lab(host, argv).wait_for(READY)

    def start(self) -> None:
        """What the page's commands do, without looking first."""
        self.sh("gateway", "gtunnel netsetup apply; gtunnel")

    def end(self) -> None:
        """End gtunnel, and wait until it has."""
        pid = self.directory / "pid"
        self.sh("gateway", f"kill $(cat {pid}); timeout 30 sh -c 'while [ -e {pid} ]; do sleep 0.1; done'")

    def close(self) -> None:
        """End gtunnel and undo what netsetup did, if the page did not."""
        if self.file.exists():
            self.sh("gateway", "gtunnel netsetup destroy")
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.directory / "pid").read_text()), SIGTERM)


def _steady(fields: dict[str, str | None]) -> dict[str, str | None]:
    kept = {key: value for key, value in fields.items() if key not in VARIES}
    kept["client"] = re.sub(r":\d+$", "", str(kept["client"]))
    return kept


def sights(output: str) -> list[Sight]:
    """What the web server saw, for each page in curl's output."""
    lines = re.findall(r"client \S+\nserver \S+\nsecurity .*\n", output)
    return [sight for sight in map(Sight.from_page, lines) if sight is not None]


@pytest.fixture
def machine(lab: Lab, in_lab: InLab, tmp_path: Path) -> Iterator[Callable[[str], Machine]]:
    """`machine(page)`: the lab for a page."""
    certificate = make(tmp_path, "server", (SERVER, SERVER_V6, *OWN))
    (tmp_path / "server.pem").write_text(certificate.key.read_text() + certificate.cert.read_text())
    made: list[Machine] = []

    def for_page(page: str) -> Machine:
        made.append(Machine(page, lab, in_lab, tmp_path, certificate))
        program = PROGRAM.format(root=ROOT, python=sys.executable, file=shlex.quote(str(made[0].file)))
        (tmp_path / "gtunnel").write_text(program)
        (tmp_path / "gtunnel").chmod(0o755)
        return made[0]

    yield for_page
    for one in made:
        one.close()


def curl_fails(machine: Machine, *status: int) -> None:
    """A client's request has no answer: 28 for silence, 52 and 56 for a server that wants something else."""
    machine.sh("client", f"curl -q -sS --max-time 2 http://{SERVER}:8080/", status=status)


def test_wrap(machine: Callable[[str], Machine]) -> None:
    page = machine("gateway-wrap.md")
    page.configure()
    page.serve("server", 8080, SERVER, tls=True)
    page.run("on the gateway")
    page.assert_says("what plan says")
    (sight,) = sights(page.run("on a client", "client"))
    assert sight.client.startswith("198.51.100.1:")
    assert sight.server == f"{SERVER}:8080"
    assert sight.security.startswith("TLSv1.3")
    page.assert_logged()
    # While gtunnel is down: silence. Then the page's last commands, but for status, which needs one that runs.
    page.end()
    curl_fails(page, 28)
    page.sh("gateway", "gtunnel")
    assert "in sync" in page.run("on the gateway, to look and to end it")
    # Nothing is captured: the client's plaintext meets the server's TLS.
    curl_fails(page, 52, 56)


def test_wrap_fails_open_if_that_is_asked_for(machine: Callable[[str], Machine]) -> None:
    page = machine("gateway-wrap.md")
    page.configure()
    page.serve("server", 8080, SERVER, tls=False)
    (option,) = re.findall(r"^    (captureFailClosed = no)$", (ROOT / "docs" / page.page).read_text(), re.MULTILINE)
    page.file.write_text(page.file.read_text() + option + "\n")
    page.sh("gateway", "gtunnel netsetup apply")
    (sight,) = sights(page.run("on a client", "client"))
    assert sight.client.startswith("192.0.2.2:")
    assert sight.security == "none"


def test_unwrap(machine: Callable[[str], Machine]) -> None:
    page = machine("gateway-unwrap.md")
    page.configure()
    page.serve("server", 8080, SERVER, SERVER_V6, tls=False)
    page.run("on the gateway")
    page.assert_says("what plan says")
    for sight, own in zip(sights(page.run("on a client", "client")), ("198.51.100.1", "[2001:db8:2::1]"), strict=True):
        assert sight.client.startswith(f"{own}:")
        assert sight.security == "none"
    page.assert_logged()
    # Who speaks plainly is refused.
    page.sh("client", f"curl -q -sS --max-time 10 http://{SERVER}:8080/", status=(52, 56))
    *_, line = accesslines.wait_for(page.directory / "access.log", 3)
    assert line["end"] == "tls"


@pytest.mark.parametrize(
    ("where", "host", "address"),
    [
        ("elsewhere", "server", SERVER),
        ("on loopback", "gateway", "127.0.0.1"),
        ("on an address of the gateway", "gateway", "198.51.100.1"),
    ],
)
def test_keep_address(machine: Callable[[str], Machine], where: str, host: str, address: str) -> None:
    page = machine("gateway-keep-address.md")
    page.configure(f"{where}: {TITLE}")
    page.serve(host, 80, address, tls=False)
    page.run("on the gateway")
    page.assert_says(f"what plan says, {where}")
    (sight,) = sights(page.run("on a client", "client"))
    assert sight.client.startswith("192.0.2.2:")
    assert sight.server == f"{address}:80"
    if where == "elsewhere":
        page.assert_logged()


def test_answers_that_do_not_come_back(machine: Callable[[str], Machine]) -> None:
    page = machine("gateway-keep-address.md")
    page.configure(f"elsewhere: {TITLE}")
    page.file.write_text(page.file.read_text() + "TIMEOUTconnect = 1\n")
    page.serve("server", 80, SERVER, tls=False)
    page.sh("server", "ip route add blackhole 192.0.2.0/24")
    page.start()
    page.sh("client", "curl -q -ksS --max-time 10 https://192.0.2.1:8443/ || true")
    (line,) = accesslines.wait_for(page.directory / "access.log", 1)
    assert line["end"] == "connect"


def test_both(machine: Callable[[str], Machine]) -> None:
    page = machine("gateway-both.md")
    page.configure()
    page.serve("server", 8080, SERVER, SERVER_V6, tls=True)
    page.run("on the gateway")
    page.assert_says("what plan says")
    for sight, client in zip(sights(page.run("on a client", "client")), ("192.0.2.2", "[2001:db8:1::2]"), strict=True):
        assert sight.client.startswith(f"{client}:")
        assert sight.security.startswith("TLSv1.3")
    page.assert_logged()
    page.sh("gateway", "gtunnel netsetup check")


def test_vpn(machine: Callable[[str], Machine]) -> None:
    page = machine("gateway-vpn.md")
    page.run("what is there already")
    page.configure()
    page.serve("server", 8080, SERVER, tls=True)
    defaults = page.file.read_text()
    page.file.write_text(re.sub(r"(?m)^net(Mark|Priority|Table) = .*\n", "", defaults))
    page.output = page.sh("gateway", "gtunnel netsetup plan", status=(1,))
    page.assert_says("what plan says against it")
    page.file.write_text(defaults)
    page.run("on the gateway")
    page.assert_says("what plan says")
    (sight,) = sights(page.run("on a client", "client"))
    assert sight.client.startswith("192.0.2.2:")
    page.assert_logged()


def test_a_vpn_s_rule_for_everything_before_ours(machine: Callable[[str], Machine]) -> None:
    """What `netPriority` is for: without it, captured packets go where the VPN says."""
    page = machine("gateway-vpn.md")
    page.run("what is there already")
    page.configure()
    page.serve("server", 8080, SERVER, tls=True)
    page.file.write_text(page.file.read_text().replace("netPriority = 90\n", ""))
    page.start()
    page.sh("client", f"curl -q -sS --max-time 2 http://{SERVER}:8080/ || true")
    assert "accepted connection" not in page.log
    # The doctor finds that something is wrong.
    page.sh("gateway", "gtunnel netsetup check", status=(2,))


@pytest.fixture
def docker(lab: Lab) -> Iterator[str]:
    """A container on the gateway, on a bridge as Docker makes it. Yields the name of its namespace."""
    container, gateway = f"{lab.name}-container", lab.namespace("gateway")
    subprocess.run(["ip", "netns", "add", container], check=True)
    try:
        for command in (
            f"ip -n {gateway} link add docker0 type bridge",
            f"ip -n {gateway} address add 203.0.113.1/24 dev docker0",
            f"ip -n {gateway} link add veth0 type veth peer name eth0 netns {container}",
            f"ip -n {gateway} link set veth0 master docker0 up",
            f"ip -n {gateway} link set docker0 up",
            f"ip -n {container} link set lo up",
            f"ip -n {container} address add 203.0.113.2/24 dev eth0",
            f"ip -n {container} link set eth0 up",
            f"ip -n {container} route add default via 203.0.113.1",
        ):
            subprocess.run(command.split(), check=True)
        switched = "echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables"
        if lab.run("gateway", ["sh", "-c", switched], stderr=subprocess.DEVNULL).returncode:
            pytest.skip("this kernel has no br_netfilter")
        yield container
    finally:
        subprocess.run(["ip", "netns", "delete", container], check=True)


def in_container(container: str, script: str) -> "subprocess.CompletedProcess[str]":
    """A shell script in the container."""
    argv = ["ip", "netns", "exec", container, "sh", "-e", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)


def test_docker_containers(machine: Callable[[str], Machine], docker: str) -> None:
    page = machine("gateway-docker.md")
    page.configure(f"containers: {TITLE}")
    page.serve("server", 8080, SERVER, tls=True)
    page.run("on the host")
    page.assert_says("what plan says")
    (sight,) = sights(in_container(docker, block(page.page, "in a container", {})).stdout)
    assert sight.client.startswith("198.51.100.1:")
    page.assert_logged()
    # While gtunnel is down: refused.
    page.end()
    assert in_container(docker, f"curl -q -sS --max-time 5 http://{SERVER}:8080/").returncode == 7


def test_docker_and_tproxy(machine: Callable[[str], Machine], docker: str) -> None:
    page = machine("gateway-docker.md")
    page.configure(f"containers: {TITLE}")
    page.serve("server", 8080, SERVER, tls=True)
    page.file.write_text(page.file.read_text().replace("= redirect", "= tproxy"))
    page.run("on the host")
    page.assert_says("what plan says of TPROXY")
    assert in_container(docker, f"curl -q -sS --max-time 2 http://{SERVER}:8080/").returncode == 28
    assert "bridge" in page.sh("gateway", "gtunnel netsetup check", status=(2,))


def test_docker_in_front_of_a_container(machine: Callable[[str], Machine], docker: str) -> None:
    page = machine("gateway-docker.md")
    page.configure(f"in front: {TITLE}")
    argv = ["ip", "netns", "exec", docker, *python("gtunnel.demo.web", "main"), "80", "203.0.113.2"]
    with Daemon(argv) as web:
        web.wait_for(READY)
        page.start()
        (sight,) = sights(page.run("on a client", "client"))
    assert sight.client.startswith("192.0.2.2:")
    assert sight.server == "203.0.113.2:80"
