"""What a live proxy tells of itself: a line for each connection, and answers to `gtunnel status`."""

import contextlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtunnel.daemon import control
from tests.gtunnel.daemon.watching import children, descriptors, soon
from tests.support import accesslines, servers, tls
from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.places import public_directory
from tests.support.servers import Server
from tests.support.tunnels import GTUNNEL_ENVIRONMENT, PREAMBLE, Tunnels

PortFactory = Callable[[], int]


class Site:
    """A gtunnel with an access log, and ports by services' names."""

    def __init__(self, gtunnel: Tunnels, pki: Pki, directory: Path, free_port: PortFactory) -> None:
        self.file = directory / "access.log"
        self.server = f"cert = {pki.server.pem}\n"
        self.ports: dict[str, int] = {}
        self._gtunnel = gtunnel
        self._free_port = free_port

    def service(self, name: str, lines: str) -> str:
        """A service on a port of its own."""
        self.ports[name] = self._free_port()
        return f"[{name}]\naccept = 127.0.0.1:{self.ports[name]}\n{lines}\n"

    def run(self, conf: str, preamble: str = "workers = 2\n") -> Daemon:
        """Run it."""
        return self._gtunnel(f"accessLog = {self.file}\n{preamble}{conf}")

    def dial(self, name: str) -> socket.socket:
        """Connect to a service, without TLS."""
        return socket.create_connection(("127.0.0.1", self.ports[name]), timeout=tls.TIMEOUT)

    def knock(self, name: str) -> None:
        """Connect to a service that refuses at once: the reset may come before `connect` has returned."""
        with contextlib.suppress(ConnectionResetError):
            self.dial(name).close()

    def ended(self, word: str) -> dict[str, str | None]:
        """The one line that ended so, when it is there."""
        lines = accesslines.until(lambda: [one for one in accesslines.read(self.file) if one["end"] == word], bool)
        assert len(lines) == 1
        return lines[0]


@pytest.fixture
def site(gtunnel: Tunnels, pki: Pki, tmp_path: Path, free_port: PortFactory) -> Site:
    return Site(gtunnel, pki, tmp_path, free_port)


def test_an_orderly_end_with_everything_that_is_known(site: Site, pki: Pki, echo: Server) -> None:
    demands = f"verifyChain = yes\nrequireCert = yes\nCAfile = {pki.ca}"
    site.run(site.service("mail", f"{site.server}{demands}\nconnect = {echo.endpoint}"))
    context = tls.client_context(str(pki.ca), pki.client)
    with tls.connect(site.ports["mail"], context) as peer:
        client = peer.socket.getsockname()
        peer.send(b"hello")
        assert peer.receive_exactly(5) == b"hello"
        peer.close_notify()
        assert peer.receive_all() == b""
    (line,) = accesslines.wait_for(site.file, 1)
    assert line["client"] == f"127.0.0.1:{client[1]}"
    assert (line["service"], line["destination"], line["target"]) == ("mail", None, echo.endpoint)
    assert (line["tls"], line["sni"], line["peer"]) == ("TLSv1.3", "localhost", "CN=alice")
    assert (line["to_target"], line["to_client"], line["end"], line["reason"]) == ("5", "5", "closed", None)
    assert stat.S_IMODE(site.file.stat().st_mode) & 0o137 == 0


def test_every_ending_has_a_line_that_says_which(
    site: Site, pki: Pki, echo: Server, server: Callable[..., Server], free_port: PortFactory
) -> None:
    plain = "client = yes\n"
    hang = server(servers.hang)
    conf = site.service("tls", f"{site.server}connect = {echo.endpoint}")
    conf += site.service("nobody", f"{plain}connect = 127.0.0.1:{free_port()}")
    conf += site.service("slow", f"{plain}TIMEOUTbusy = 1\nconnect = {hang.endpoint}")
    conf += site.service("full", f"{plain}maxConnections = 1\nconnect = {hang.endpoint}")
    conf += site.service("pop3", f"{site.server}protocol = pop3\nconnect = {hang.endpoint}")
    conf += site.service("run", f"{site.server}exec = /nowhere/program")
    running = site.run(conf)
    # tls: a certificate that the client does not take, and the name that it wanted all the same
    with pytest.raises(ssl.SSLError):
        tls.connect(site.ports["tls"], tls.client_context(str(pki.stranger.ca_file)), name="localhost")
    failed = site.ended("tls")
    assert (failed["sni"], failed["tls"], failed["target"]) == ("localhost", None, None)
    assert failed["reason"] is not None
    assert "SSL_accept" in failed["reason"]
    # truncated, reset, silent
    peer = tls.connect(site.ports["tls"])
    peer.send(b"x")
    assert peer.receive(1) == b"x"
    peer.cut()
    assert site.ended("truncated")["to_target"] == "1"
    peer.socket.close()
    peer = tls.connect(site.ports["tls"])
    peer.send(b"x")
    assert peer.receive(1) == b"x"
    peer.reset()
    assert site.ended("reset")["tls"] == "TLSv1.3"
    site.dial("tls").close()
    assert site.ended("silent")["service"] == "tls"
    # connect, timeout, refused, program
    site.knock("nobody")
    assert site.ended("connect")["reason"] == "No more addresses to connect"
    with site.dial("slow"):
        assert "TIMEOUTbusy" in (site.ended("timeout")["reason"] or "")
    with site.dial("full"):
        running.wait_for("Service [full] connected remote server")
        site.knock("full")
        assert "too many clients" in (site.ended("refused")["reason"] or "")
        with tls.connect(site.ports["run"]):
            assert "Cannot run /nowhere/program" in (site.ended("program")["reason"] or "")
        running.stop()
    stopped = site.ended("stopped")
    assert (stopped["service"], stopped["target"]) == ("full", hang.endpoint)
    assert len(accesslines.read(site.file)) == running.count("] started")


@pytest.mark.root
def test_a_loop_is_told_from_other_failures(site: Site) -> None:
    site.run(site.service("gate", "client = yes\ntransparent = destination"))
    site.knock("gate")
    assert "it would loop" in (site.ended("loop")["reason"] or "")


def test_programs_and_unix_sockets_are_named_by_their_paths(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "backend"
    with socket.socket(socket.AF_UNIX) as backend:
        backend.bind(str(path))
        backend.listen()
        conf = site.service("run", f"{site.server}exec = /bin/cat") + site.service(
            "local", f"{site.server}connect = {path}"
        )
        site.run(conf)
        for name in ("run", "local"):
            with tls.connect(site.ports[name]) as peer:
                if name == "local":
                    backend.accept()[0].close()
                peer.close_notify()
                peer.receive_all()
    targets = {line["service"]: line["target"] for line in accesslines.wait_for(site.file, 2)}
    assert targets == {"run": "exec:/bin/cat", "local": str(path)}


def test_a_reload_brings_it_moves_it_and_takes_it_away(
    gtunnel: Tunnels, site: Site, echo: Server, tmp_path: Path
) -> None:
    other = tmp_path / "other.log"
    service = site.service("it", f"{site.server}connect = {echo.endpoint}")
    running = gtunnel(service)
    path = Path(running.argv[-1])

    def visit() -> None:
        with tls.connect(site.ports["it"]) as peer:
            peer.close_notify()
            peer.receive_all()

    def reload(line: str) -> None:
        path.write_text(PREAMBLE + line + service)
        assert gtunnel.run("reload", "--wait", path).returncode == 0

    visit()
    reload(f"accessLog = {site.file}\n")
    assert not accesslines.read(site.file)
    visit()
    accesslines.wait_for(site.file, 1)
    # Who is there while it moves is told of where it began.
    with tls.connect(site.ports["it"]) as peer:
        reload(f"accessLog = {other}\n")
        visit()
        accesslines.wait_for(other, 1)
        peer.close_notify()
        peer.receive_all()
        accesslines.wait_for(site.file, 2)
    path.write_text(PREAMBLE + f"accessLog = {tmp_path}/no/such\n" + service)
    refused = gtunnel.run("reload", "--wait", path)
    assert (refused.returncode, "Cannot open log file" in refused.stderr) == (1, True)
    reload("")
    visit()
    assert (len(accesslines.read(site.file)), len(accesslines.read(other))) == (2, 1)


@pytest.mark.root
@pytest.mark.parametrize("how", ["signal", "command"])
def test_it_is_opened_again_after_a_rotation_also_in_a_jail_as_another_user(
    gtunnel: Tunnels, site: Site, echo: Server, how: str, tmp_path: Path
) -> None:
    jail = tmp_path / "jail"
    (jail / "log").mkdir(parents=True)
    os.chown(jail / "log", 1, 1)
    site.file = jail / "log" / "access"
    service = site.service("it", f"{site.server}connect = {echo.endpoint}")
    running = gtunnel(f"accessLog = /log/access\nchroot = {jail}\nsetuid = daemon\nworkers = 2\n{service}")
    for number in range(4):
        with tls.connect(site.ports["it"]) as peer:
            peer.close_notify()
            peer.receive_all()
        accesslines.wait_for(site.file, number % 2 + 1)
        if number == 1:
            site.file.rename(jail / "log" / "old")
            if how == "signal":
                running.send(signal.SIGUSR1)
            else:
                assert gtunnel.run("reopen", running.argv[-1]).returncode == 0
            running.wait_for("Log file reopened")
            accesslines.until(lambda: [{"there": str(site.file.exists())}], lambda found: found[0]["there"] == "True")
    assert len(accesslines.read(jail / "log" / "old")) == 2
    assert site.file.stat().st_uid == 1


class Asked:
    """A gtunnel with `controlGroup`, and people who ask it: root, a member of the group, and somebody else."""

    GROUP = 4321
    USER = 4322

    def __init__(self, gtunnel: Tunnels, place: Path, conf: str) -> None:
        self.running = gtunnel(f"control = {place}/x.control\ncontrolGroup = {self.GROUP}\n{conf}")
        self.control = place / "x.control"
        self._gtunnel = gtunnel

    def root(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """A command of root's."""
        return self._gtunnel.run(*arguments, "--control", self.control)

    def other(self, *arguments: str, groups: str = str(GROUP)) -> "subprocess.CompletedProcess[str]":
        """A command of another user's."""
        who = ["setpriv", f"--reuid={self.USER}", f"--regid={self.USER}", f"--groups={groups}", "--"]
        argv = [*who, *map(str, self._gtunnel.argv(*arguments, "--control", self.control))]
        environment = {**os.environ, **GTUNNEL_ENVIRONMENT}
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd="/")


@pytest.fixture
def asked(gtunnel: Tunnels, echo: Server, free_port: PortFactory) -> Iterator[Asked]:
    with public_directory("root") as place:
        port = free_port()
        yield Asked(
            gtunnel, place, f"workers = 2\n[it]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\n"
        )


@pytest.mark.root
def test_members_of_the_group_may_ask_and_do_nothing_else(asked: Asked) -> None:
    if "Traceback" in asked.other("--version").stderr:
        pytest.skip("another user cannot run Python from here")
    found = asked.other("status")
    assert (found.returncode, found.stderr) == (0, "")
    assert f"process {asked.running.pid}" in found.stdout
    stranger = asked.other("status", groups="4329")
    assert (stranger.returncode, "Permission denied" in stranger.stderr) == (1, True)
    for word in ("reload", "reopen"):
        refused = asked.other(word, *(["--wait"] if word == "reload" else []))
        assert refused.returncode != 0
    public = control.public_path(asked.control)
    for word in ("reload", "reopen", "stop"):
        assert control.ask(public, word) == control.Answer(False, (f"{word}: there is no such request",))
    assert asked.running.count("Reading configuration") == 1
    asked.running.stop()
    assert not list(asked.control.parent.iterdir())


@pytest.mark.root
def test_mute_and_hostile_askers_hold_up_nobody(asked: Asked) -> None:
    public = str(control.public_path(asked.control))
    script = f"""
import os, random, socket, time
os.setgroups([{Asked.GROUP}])
os.setresuid({Asked.USER}, {Asked.USER}, {Asked.USER})
held, began = [], time.monotonic()
print("asking", flush=True)
while time.monotonic() - began < 60:
    one = socket.socket(socket.AF_UNIX)
    one.setblocking(False)
    try:
        one.connect({public!r})
        one.send(random.choice([b"", b"connections\\n", b"status\\n", b"x" * 500, b"\\xff\\n", b"relo"]))
    except OSError:
        pass
    held.append(one)
    if len(held) > 200:
        held.pop(random.randrange(len(held))).close()
"""
    hostile = [Daemon([sys.executable, "-c", script]) for _ in range(2)]
    for one in hostile:
        one.wait_for("asking")
    for word in ("status", "reload", "reopen", "status"):
        assert control.ask(asked.control, word, 30).done, word
    assert all(one.running for one in hostile)
    for one in hostile:
        one.kill()
    # And when they are gone, nothing is left of them.
    assert soon(lambda: control.ask(Path(public), "status").done)
    assert soon(lambda: descriptors(asked.running.pid) < 40)


@pytest.mark.root
def test_a_worker_that_was_stopped_is_shown_as_such_and_hangs_nobody(asked: Asked) -> None:
    stopped = min(children(asked.running.pid))
    os.kill(stopped, signal.SIGSTOP)
    try:
        for path in (asked.control, control.public_path(asked.control)):
            facts = control.ask(path, "connections", 20).facts
            assert facts is not None
            assert {worker["pid"]: worker["answers"] for worker in facts["workers"]}[stopped] is False
            assert sum(worker["answers"] for worker in facts["workers"]) == 1
        assert "NOT ANSWERING" in asked.root("status").stdout
    finally:
        os.kill(stopped, signal.SIGCONT)

    def everybody_answers() -> bool:
        facts = control.ask(asked.control, "status", 20).facts
        return facts is not None and all(worker["answers"] for worker in facts["workers"])

    assert soon(everybody_answers)
    assert control.ask(asked.control, "reload", 60).done


def test_without_the_group_there_is_no_second_socket(gtunnel: Tunnels, echo: Server, tmp_path: Path) -> None:
    gtunnel(f"control = {tmp_path}/c\n[it]\nclient = yes\naccept = 127.0.0.1:0\nconnect = {echo.endpoint}\n")
    assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o600
    assert not control.public_path(tmp_path / "c").exists()


def test_a_group_without_a_socket_is_refused(gtunnel: Tunnels) -> None:
    text = gtunnel.refuse("control =\ncontrolGroup = 0\n[it]\nclient = yes\naccept = 127.0.0.1:0\nconnect = 1\n")
    assert '"controlGroup" needs a control socket' in text
