"""An accepted connection, for tests of what is made of it."""

import socket
from collections.abc import Iterator

from gtunnel.address import from_sockaddr
from gtunnel.net.transparency import Accepted
from gtunnel.tunnel.connection import client_address

Pair = tuple[Accepted, socket.socket]


def accepted_pair() -> Iterator[Pair]:
    """What the acceptor would have, and the client's end. The latter is closed afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        far = socket.create_connection(listener.getsockname(), timeout=10)
        near, peer = listener.accept()
        near.setblocking(False)
        with far:
            address = client_address(from_sockaddr(peer))
            yield Accepted(near, address, from_sockaddr(listener.getsockname())), far
