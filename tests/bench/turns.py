"""What happens to a proxy in the long runs: each function makes some connections and returns how many.

All of them check what comes back. The peers echo unless it is said otherwise.
"""

import os
import socket
import ssl
import struct
import time
from contextlib import ExitStack

from tests.bench.loads import Running, connected, context, exchange
from tests.support.tls import TlsPeer, client_context

_CHUNK = 1 << 18


def short(proxy: Running, count: int = 20) -> int:
    """Connections for one byte there and back."""
    tls = context() if proxy.tls else None
    for _ in range(count):
        with connected(proxy, tls) as connection:
            exchange(connection)
    return count


def resumed(proxy: Running, count: int, version: ssl.TLSVersion, source: str = "") -> int:
    """The same, with the session of the one before."""
    tls, session = context(version), None
    for _ in range(count):
        with connected(proxy, tls, session, source=source) as connection:
            exchange(connection)
            assert isinstance(connection, ssl.SSLSocket)
            session = connection.session
    return count


def keep_alive(proxy: Running, together: int = 50, times: int = 20) -> int:
    """Connections that stay for some messages."""
    tls = context() if proxy.tls else None
    with ExitStack() as stack:
        held = [stack.enter_context(connected(proxy, tls)) for _ in range(together)]
        for _ in range(times):
            for connection in held:
                exchange(connection)
    return together


def waiting(proxy: Running, together: int, seconds: float) -> int:
    """Connections that do nothing for a while, and then are still there."""
    tls = context() if proxy.tls else None
    with ExitStack() as stack:
        held = [stack.enter_context(connected(proxy, tls)) for _ in range(together)]
        for connection in held:
            exchange(connection)
        time.sleep(seconds)
        for connection in held:
            exchange(connection)
    return together


def fetched(proxy: Running, size: int) -> int:
    """So many bytes from a `source`."""
    with connected(proxy, context() if proxy.tls else None) as connection:
        connection.sendall(b"%d\n" % size)
        scratch = bytearray(_CHUNK)
        while size:
            got = connection.recv_into(scratch, min(_CHUNK, size))
            assert got, "the connection ended early"
            size -= got
    return 1


def sent(proxy: Running, size: int) -> int:
    """So many bytes to a `sink`, which says that it has them."""
    with connected(proxy, context() if proxy.tls else None) as connection:
        connection.sendall(b"%d\n" % size)
        chunk = bytes(_CHUNK)
        while size > 0:
            connection.sendall(chunk[:size])
            size -= _CHUNK
        assert connection.recv(16) == b"done\n"
    return 1


def half_closed(proxy: Running, count: int = 10) -> int:
    """Connections whose client has ended its direction before it reads what comes back."""
    tls = client_context()
    for _ in range(count):
        message = os.urandom(1000)
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as plain:
            if proxy.tls:
                peer = TlsPeer(plain, tls)
                peer.send(message)
                peer.close_notify()
                assert peer.receive_all() == message
            else:
                plain.sendall(message)
                plain.shutdown(socket.SHUT_WR)
                assert b"".join(iter(lambda: plain.recv(_CHUNK), b"")) == message
    return count


def reset(proxy: Running, count: int = 10) -> int:
    """Connections that end with RST: in the middle of a handshake, and of a conversation."""
    tls = context() if proxy.tls else None
    for number in range(count):
        with ExitStack() as stack:
            if number % 2:
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=60))
                connection.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a ClientHello
            else:
                connection = stack.enter_context(connected(proxy, tls))
                exchange(connection)
                connection.sendall(bytes(5000))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
    return count
