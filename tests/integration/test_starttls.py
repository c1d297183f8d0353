"""Protocols that begin in plaintext, with real programs on both ends."""

import socket
from collections.abc import Callable

from tests.support import peers
from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels


def mail(connection: socket.socket) -> None:
    """A mail server without TLS: it says who it is, and OK to everything."""
    connection.sendall(b"220 mail.example.org ESMTP\r\n")
    for line in connection.makefile("rb"):
        connection.sendall(b"250 you said " + line)
        if line.startswith(b"QUIT"):
            return


def test_smtp_from_end_to_end(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    outer, inner = free_port(), free_port()
    gtunnel(
        f"[out]\naccept = 127.0.0.1:{outer}\nconnect = {server(mail).endpoint}\nprotocol = smtp\n"
        f"cert = {pki.server.pem}\n"
        f"[in]\nclient = yes\naccept = 127.0.0.1:{inner}\nconnect = 127.0.0.1:{outer}\nprotocol = smtp\n"
        f"CAfile = {pki.ca}\nverifyChain = yes\n"
    )
    said = peers.s_client(outer, "-starttls", "smtp", "-quiet", send=b"NOOP 1\nQUIT\n")
    assert b"250 you said NOOP 1" in said.stdout
    with socket.create_connection(("127.0.0.1", inner), timeout=10) as client, client.makefile("rb") as lines:
        assert lines.readline() == b"220 mail.example.org ESMTP\r\n"
        client.sendall(b"MAIL FROM:<a@example.org>\r\n")
        assert lines.readline() == b"250 you said MAIL FROM:<a@example.org>\r\n"
