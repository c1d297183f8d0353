"""The server that the demonstrations talk to: HTTP, with TLS or without, and its page says what it sees of the client.

`main` makes it a program, for another network namespace.
It uses Python's own TLS on purpose: gtunnel's counterpart should not be gtunnel.
"""

import argparse
import socket
import socketserver
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

from gtunnel.values import dataclass

READY = "ready"
# A client that says nothing shall not keep a thread for longer, in seconds.
PATIENCE = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the server saw: addresses as "HOST:PORT", and the TLS version and cipher, or "none"."""

    client: str
    server: str
    security: str

    def page(self) -> str:
        """The page that says so: one line for each."""
        return f"client {self.client}\nserver {self.server}\nsecurity {self.security}\n"

    @staticmethod
    def from_page(page: str) -> "Sight | None":
        """Read a page; None if it is no such page."""
        values = dict(line.partition(" ")[::2] for line in page.splitlines())
        try:
            return Sight(client=values["client"], server=values["server"], security=values["security"])
        except KeyError:
            return None


class WebServer(socketserver.ThreadingTCPServer):
    """Serves one numeric address from construction on; `start` answers in a thread, `serve_forever` in this one."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.context = context
        super().__init__((host, port), _Page)

    @property
    def port(self) -> int:
        """The port, also where 0 was asked for."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Answer in a thread until `stop`."""
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Stop answering and listening."""
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that speaks no TLS to us is part of the demonstration."""


class _Page(BaseHTTPRequestHandler):
    """One connection. The TLS handshake is done here, in the connection's thread."""

    server: WebServer
    connection: socket.socket
    request: socket.socket

    def setup(self) -> None:
        self.request.settimeout(PATIENCE)
        if self.server.context is not None:
            self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self) -> None:
        super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            # close_notify, and the other side's: an end without it is a truncated stream, and gtunnel would say so.
            with suppress(OSError):
                self.connection.unwrap()
            self.connection.close()

    def do_GET(self) -> None:
        """Answer any path with the page."""
        security = "none"
        if isinstance(self.connection, ssl.SSLSocket) and (cipher := self.connection.cipher()):
            security = f"{self.connection.version()}, {cipher[0]}"
        sight = Sight(
            client=text(self.connection.getpeername()), server=text(self.connection.getsockname()), security=security
        )
        body = sight.page().encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing: the demonstration talks."""


def text(sockaddr: tuple[object, ...]) -> str:
    """HOST:PORT, with brackets around IPv6, as in a URL."""
    host, port = str(sockaddr[0]), sockaddr[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def main() -> int:
    """Serve until killed; print READY when listening on all addresses."""
    parser = argparse.ArgumentParser(description="Serve the page of gtunnel's demonstration.")
    parser.add_argument("port", type=int)
    parser.add_argument("hosts", nargs="+")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    args = parser.parse_args()
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert, args.key)
    for host in args.hosts:
        WebServer(host, args.port, context).start()
    sys.stdout.write(READY + "\n")
    sys.stdout.flush()
    threading.Event().wait()
    return 0

