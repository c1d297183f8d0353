"""Free TCP ports, and waiting for one to be served."""

import random
import socket
import time

# Below what the kernel hands out to outgoing connections (ip_local_port_range starts at 32768): none of them can take
# a port between our look and the server's bind.
_FIRST, _LAST = 20000, 32000
_given: set[int] = set()


def free_port() -> int:
    """A TCP port that nobody uses on any address, IPv4 or IPv6, and that this process has not given out before."""
    while True:
        port = random.randint(_FIRST, _LAST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def wait_for_port(port: int, host: str = "127.0.0.1", timeout: float = 10.0) -> None:
    """Wait until somebody accepts there. This makes, and closes, a connection: servers that count will see it."""
    deadline = time.monotonic() + timeout
    while not _is_served(host, port):
        assert time.monotonic() < deadline, f"nobody listens on {host}:{port} after {timeout} s"
        time.sleep(0.02)


def wait_for_listener(port: int, timeout: float = 10.0) -> None:
    """Wait until somebody has the port. Nobody is connected to."""
    deadline = time.monotonic() + timeout
    while _is_free(port):
        assert time.monotonic() < deadline, f"nobody listens on {port} after {timeout} s"
        time.sleep(0.02)


def _is_served(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _is_free(port: int) -> bool:
    try:
        with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
            return True
    except OSError:
        return False


def connection() -> tuple[socket.socket, socket.socket]:
    """Both ends of a TCP connection: ours, which does not block, and a peer's, which gives up after ten seconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), timeout=10)
        ours, _ = listener.accept()
        ours.setblocking(False)
        return ours, theirs
