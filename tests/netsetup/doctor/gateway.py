"""A gateway in namespaces that is set up and runs a stand-in for the proxy: what the doctor's tests spoil."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from netsetup import api
from netsetup.doctor.findings import Diagnosis, Severity
from netsetup.model import Backend, Capture, Interception, Listener, Method, Request, Target
from tests.netsetup.world import ANY, EGRESS, LOOPBACK, ROOT, SERVER, World

WEB, MAIL, KEEP = 9080, 9025, 9443
"""The proxy's ports: traffic to port 80 by TPROXY, to port 25 by redirection, and who comes to it by himself."""


def listeners(port: int, hosts: dict[int, str]) -> tuple[Listener, ...]:
    return tuple(Listener(host=host, port=port) for host in hosts.values())


def everything(backend: Backend = Backend.AUTO) -> Request:
    """Every mode, method and origin at once."""
    targets = (*SERVER.values(), *EGRESS.values(), *LOOPBACK.values())
    return Request(
        backend=backend,
        interceptions=(
            Interception(
                name="web",
                listeners=listeners(WEB, ANY),
                source=True,
                capture=Capture(ports=((80, 80),), method=Method.TPROXY, local=True, interfaces=("eth1",)),
            ),
            Interception(
                name="mail",
                listeners=listeners(MAIL, ANY),
                source=False,
                capture=Capture(ports=((25, 25),), method=Method.REDIRECT, local=True, interfaces=("eth1",)),
            ),
            Interception(
                name="keep",
                listeners=listeners(KEEP, ANY),
                source=True,
                targets=tuple(Target(host=host, port=7) for host in targets),
            ),
        ),
    )


def capturing(method: Method, *, source: bool = True, backend: Backend = Backend.AUTO) -> Request:
    """Port 80 from clients, for the proxy at `WEB`."""
    capture = Capture(ports=((80, 80),), method=method, interfaces=("eth1",))
    service = Interception(name="web", listeners=listeners(WEB, ANY), source=source, capture=capture)
    return Request(interceptions=(service,), backend=backend)


@contextlib.contextmanager
def applied(world: World, request: Request, directory: Path) -> Iterator[None]:
    """Set up while the context lasts."""
    api.apply(request, world.gateway, directory=directory)
    try:
        yield
    finally:
        api.destroy(request.instance, world.gateway, directory=directory)


@contextlib.contextmanager
def stopping(process: "subprocess.Popen[str]") -> Iterator["subprocess.Popen[str]"]:
    """The process ends with the context."""
    try:
        yield process
    finally:
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        process.kill()
        process.wait()


def proxy(world: World, request: Request) -> "contextlib.AbstractContextManager[subprocess.Popen[str]]":
    """The stand-in, on all listeners of the request, with the first service's `source`."""
    settings = {
        "listeners": [[one.host, one.port] for service in request.interceptions for one in service.listeners],
        "source": request.interceptions[0].source,
        "mark": request.marks.own,
        "target": None,
    }
    return stopping(world.start(world.gateway, "proxy", json.dumps(settings)))


_LISTENER = """
import os, socket, sys
for host in sys.argv[2:]:
    six = ":" in host
    one = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if six:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if user:
        one.setsockopt(socket.IPPROTO_IPV6 if six else socket.SOL_IP, 75 if six else 19, 1)  # IP_TRANSPARENT
    one.bind((host, port))
    one.listen()
    os.dup(one.fileno())
if user:
    os.setresuid(65534, 65534, 65534)
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def plain_listener(world: World, hosts: dict[int, str], *, user: str = "") -> Iterator[int]:
    """A process that only listens at `WEB`: not transparent, or (`user`) transparent but without rights. Its pid."""
    code = f"user, port = {user!r}, {WEB}\n{_LISTENER}"
    argv = ["ip", "netns", "exec", world.gateway, sys.executable, "-c", code, "--", *hosts.values()]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with stopping(process):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid


def serious(diagnosis: Diagnosis) -> set[str]:
    """The titles of what is worse than a note."""
    return {one.title for one in diagnosis.findings if one.severity > Severity.NOTE}
