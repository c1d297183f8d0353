"""First part, for any user: one gtunnel as both ends of a TLS tunnel on this machine, and a request through it."""

import http.client
import re
import socket
from collections.abc import Callable
from pathlib import Path

from gtunnel.demo.certificate import SelfSigned, make
from gtunnel.demo.errors import DemoError
from gtunnel.demo.program import ACCEPTING, GTUNNEL, Running, tail
from gtunnel.demo.web import Sight, WebServer, text

Say = Callable[[str], None]

HOST = "127.0.0.1"
TIMEOUT = 15.0
CONFIGURATION = """\
foreground = yes
pid =
debug = info

; Takes plain connections, wraps them in TLS, and makes sure that it is the right server.
[client]
client = yes
accept = {host}:{client}
connect = {host}:{server}
CAfile = {cert}
verifyChain = yes
checkHost = localhost

; Takes TLS connections and hands the plain text to a program that knows no TLS.
[server]
accept = {host}:{server}
connect = {host}:{backend}
cert = {cert}
key = {key}
"""
_AGREED = re.compile(r"(TLSv1\.\d) ciphersuite: (\S+)")


def show(say: Say, directory: Path) -> Path:
    """Run it and tell about it. Files go into `directory`. Returns the configuration file. Raises `DemoError`."""
    certificate = make(directory, "localhost", (HOST,))
    backend = WebServer(HOST, 0)
    backend.start()
    try:
        client, server = _free_ports()
        file = directory / "tunnel.conf"
        file.write_text(_configuration(certificate, client=client, server=server, backend=backend.port))
        with Running("gtunnel", [*GTUNNEL, str(file)], directory / "tunnel.log") as gtunnel:
            gtunnel.wait_for(ACCEPTING)
            program, sight = _fetch(client, gtunnel)
            agreed = _AGREED.search(gtunnel.wait_for("ciphersuite: "))
            security = f"{agreed[1]}, {agreed[2]}" if agreed else "TLS"
    finally:
        backend.stop()
    for line in _picture(program, sight, security, f"{HOST}:{client}", f"{HOST}:{server}"):
        say(f"   {line}".rstrip())
    return file


def _configuration(certificate: SelfSigned, *, client: int, server: int, backend: int) -> str:
    return CONFIGURATION.format(
        host=HOST, client=client, server=server, backend=backend, cert=certificate.cert, key=certificate.key
    )


def _picture(program: str, sight: Sight, security: str, client: str, server: str) -> list[str]:
    return [
        f"a program   {program:<17}",
        "   |        plain HTTP",
        f"[client]    {client:<17} wraps it in TLS, and verifies the server's certificate",
        f"   #        {security}",
        f"[server]    {server:<17} has the certificate, and unwraps",
        "   |        plain HTTP",
        f"a server    {sight.server:<17} knows no TLS, and answered 200 OK",
    ]


def _fetch(port: int, gtunnel: Running) -> tuple[str, Sight]:
    """Ask for the page through the tunnel. Returns our own address and what the backend saw."""
    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT)
    try:
        connection.connect()
        ours = text(connection.sock.getsockname())
        connection.request("GET", "/")
        sight = Sight.from_page(connection.getresponse().read().decode())
    except (OSError, http.client.HTTPException) as error:
        raise DemoError(what=f"Nothing came through the tunnel ({error}). Its log:", log=tail(gtunnel.lines)) from error
    finally:
        connection.close()
    if sight is None:
        raise DemoError(what="What came through was not the backend's page. gtunnel's log:", log=tail(gtunnel.lines))
    return ours, sight


def _free_ports() -> tuple[int, int]:
    """Two ports that nobody uses now. Somebody may take one before gtunnel does: then it says so, and so do we."""
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])
