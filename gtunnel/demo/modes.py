"""One transparent mode, for root: what the client thinks, what gtunnel sees, and what the server sees.

Three hosts in network namespaces, as in `gtunnel.demo.gateway`. `source` takes TLS that clients send to the gateway, to
a server that has none; `destination` and `both` take plain HTTP out of the traffic, to a server that has only TLS.
"""

import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gtunnel.demo.certificate import SelfSigned, make
from gtunnel.demo.errors import DemoError
from gtunnel.demo.gateway import ADDRESSES, CURL, say_all, summary, undone_if_left
from gtunnel.demo.program import ACCEPTING, GTUNNEL, Running, finish, python, tail
from gtunnel.demo.web import READY, Sight
from gtunnel.values import dataclass
from netsetup.lab import CLIENT, GATEWAY, SERVER, Lab, find_program

Say = Callable[[str], None]

MODES = ("source", "destination", "both")
METHODS = ("tproxy", "redirect")
BACKENDS = ("auto", "nftables", "iptables")

PORT = 80
LISTEN = 8443
# Seconds until gtunnel has written the line of a connection that has ended.
PATIENCE = 10.0
_INGRESS = GATEWAY.interfaces[0]
_EGRESS = GATEWAY.interfaces[1]
_LOOPBACK = ("127.0.0.1", "::1")
_FIELD = re.compile(r"(\w+)=(\S+)")
_LEARNT = {
    "tproxy": "gtunnel finds that in the socket itself, which has the server's address",
    "redirect": "the kernel rewrote that to gtunnel's own address; gtunnel asks conntrack whom it was for",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is to be shown. `method` is None where nothing is captured (`source`)."""

    mode: str
    method: str | None
    backend: str

    @property
    def captures(self) -> bool:
        """Whether connections are taken out of the traffic."""
        return self.method is not None

    @property
    def keeps_client(self) -> bool:
        """Whether the server sees the client's address."""
        return self.mode != "destination"

    def configuration(self, certificate: SelfSigned) -> str:
        """The services, one for each IP version where `connect` says so."""
        if self.captures:
            hosts = _LOOPBACK if self.method == "tproxy" else (_INGRESS.v4, _INGRESS.v6)
            accepts = "".join(f"accept = {host}:{LISTEN}\n" for host in hosts)
            return (
                f"[demo]\nclient = yes\n{accepts}transparent = {self.mode}\n"
                f"capture = {PORT}\ncaptureInterface = {_INGRESS.name}\ncaptureMethod = {self.method}\n"
                f"CAfile = {certificate.cert}\nverifyChain = yes\n"
            )
        return "\n".join(
            f"[demo-{version}]\naccept = {accept}:{LISTEN}\nconnect = {connect}:{PORT}\n"
            f"transparent = {self.mode}\ncert = {certificate.cert}\nkey = {certificate.key}\n"
            for version, accept, connect in (("v4", _INGRESS.v4, SERVER.v4), ("v6", _INGRESS.v6, SERVER.v6))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One connection as each of the three saw it; addresses as "HOST:PORT"."""

    ours: str
    wanted: str
    access: dict[str, str]
    server: Sight


def obstacle() -> str | None:
    """Why nothing can be shown here, as a sentence; None if it can."""
    missing = [program for program in ("ip", "curl") if find_program(program) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def show(say: Say, directory: Path, lab: Lab, scene: Scene) -> None:
    """Show it in a lab that is up, which the caller takes down with all that runs in it. Raises `DemoError`."""
    certificate = make(directory, "server", (SERVER.v4, SERVER.v6, _INGRESS.v4, _INGRESS.v6))
    services = scene.configuration(certificate)
    file, access = directory / "demo.conf", directory / "access.log"
    head = f"foreground = yes\npid =\nsyslog = no\ndebug = info\naccessLog = {access}\nnetBackend = {scene.backend}\n"
    file.write_text(f"{head}\n{services}")
    web = [*python("gtunnel.demo.web", "main"), str(PORT), SERVER.v4, SERVER.v6]
    if scene.captures:
        web += ["--cert", str(certificate.cert), "--key", str(certificate.key)]
    on_gateway = partial(lab.run, GATEWAY.name)
    say("The gateway's configuration:")
    say("")
    say_all(say, services.splitlines())
    with (
        Running("the server", web, directory / "server.log", partial(lab.popen, SERVER.name)) as server,
        undone_if_left(on_gateway),
    ):
        server.wait_for(READY)
        say("")
        say("     gateway$ gtunnel netsetup apply demo.conf")
        say_all(say, summary(finish("netsetup apply", [*GTUNNEL, "netsetup", "apply", str(file)], on_gateway)))
        say("     gateway$ gtunnel demo.conf")
        log = directory / "gtunnel.log"
        with Running("gtunnel", [*GTUNNEL, str(file)], log, partial(lab.popen, GATEWAY.name)) as gtunnel:
            gtunnel.wait_for(ACCEPTING)
            for number, version in enumerate((4, 6), 1):
                visit = _visit(say, lab, scene, _Tools(certificate, gtunnel, access, number, version))
                _judge(visit, scene, version, gtunnel)
                say("")
                say_all(say, picture(visit, scene))
        say("")
        say("     gateway$ gtunnel netsetup destroy")
        say_all(say, summary(finish("netsetup destroy", [*GTUNNEL, "netsetup", "destroy"], on_gateway)))


@dataclass(frozen=True, slots=True)
class _Tools:
    """What one visit needs. `number` of them have come, with this one."""

    certificate: SelfSigned
    gtunnel: Running
    access: Path
    number: int
    version: int


def _visit(say: Say, lab: Lab, scene: Scene, tools: _Tools) -> Visit:
    host, port = (SERVER, PORT) if scene.captures else (GATEWAY, LISTEN)
    bare = host.v4 if tools.version == 4 else host.v6
    wanted = f"{bare}:{port}" if tools.version == 4 else f"[{bare}]:{port}"
    url = f"http://{wanted}/" if scene.captures else f"https://{wanted}/"
    say("")
    say(f"IPv{tools.version}:  client$ curl {url}")
    argv = [*CURL, "--cacert", str(tools.certificate.cert), "--write-out", ADDRESSES, url]
    done = lab.run(CLIENT.name, argv, capture_output=True, text=True)
    page, _, addresses = str(done.stdout).rpartition("\n")
    sight = Sight.from_page(page)
    if done.returncode or sight is None:
        why = str(done.stderr).strip() or "no page came"
        raise DemoError(what=f"{why}\nThe last words of gtunnel on the gateway:", log=tail(tools.gtunnel.lines))
    ip, ours = addresses.split()
    ours = f"[{ip}]:{ours}" if ":" in ip else f"{ip}:{ours}"
    return Visit(ours=ours, wanted=wanted, access=_accessed(tools), server=sight)


def _accessed(tools: _Tools) -> dict[str, str]:
    """The fields of the visit's line in the access log."""
    deadline = time.monotonic() + PATIENCE
    while True:
        lines = tools.access.read_text().splitlines() if tools.access.exists() else []
        if len(lines) >= tools.number:
            return dict(_FIELD.findall(lines[tools.number - 1]))
        if time.monotonic() > deadline:
            raise DemoError(what="gtunnel logged no such connection. Its last words:", log=tail(tools.gtunnel.lines))
        time.sleep(0.02)


def picture(visit: Visit, scene: Scene) -> Sequence[str]:
    """The addresses of each leg."""
    access, server = visit.access, visit.server
    width = max(len(visit.ours), len(server.client))
    tls = f"{access['tls']}, {access['cipher']}"
    learnt = _LEARNT[scene.method] if scene.method else f"the service connects to {access['target']}"
    whose = "the client's own address" if scene.keeps_client else "the gateway's address"
    meant = access["destination"] if scene.captures else visit.wanted
    first, second = ("|      plain HTTP", f"#      {tls}") if scene.captures else (f"#      {tls}", "|      plain HTTP")

    def leg(who: str, source: str, to: str, what: str) -> str:
        return f"{who:<10}{source:<{width}}  ->  {to}   {what}"

    return (
        leg("client", visit.ours, visit.wanted, "what the client thinks"),
        f"   {first}",
        leg("gtunnel", access["client"], meant, "what gtunnel sees"),
        f"          {learnt}",
        f"   {second}",
        leg("server", server.client, server.server, f"what the server sees: {whose}"),
    )


def _judge(visit: Visit, scene: Scene, version: int, gtunnel: Running) -> None:
    """The addresses that are shown have to be the right ones."""
    client, gateway, server = (
        (CLIENT.v4, _EGRESS.v4, f"{SERVER.v4}:{PORT}")
        if version == 4
        else (f"[{CLIENT.v6}]", f"[{_EGRESS.v6}]", f"[{SERVER.v6}]:{PORT}")
    )
    expected = client if scene.keeps_client else gateway
    right = (
        visit.access["client"] == visit.ours
        and visit.access["target"] == visit.server.server == server
        and visit.access["destination"] == (server if scene.captures else "-")
        and visit.server.client.rpartition(":")[0] == expected
        and (visit.server.security != "none") == scene.captures
    )
    if not right:
        raise DemoError(what=f"That is not what it should be: {visit}. gtunnel's log:", log=tail(gtunnel.lines))
