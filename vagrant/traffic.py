"""Both ends of the testbed's traffic, as programs for its machines: Python's standard library alone.

    python3 traffic.py serve PEM        TLS servers on all PORTS, IPv4 and IPv6. A line says who came, then they echo.
    python3 traffic.py probe <CASES     plain connections, all at once; CASES and the answer are JSON

    CASES    {NAME: [HOST, PORT], …}
    answer   {NAME: {"peer": whom the client sees, "seen": whom the server saw, "same": all bytes came back}, …}
             or {NAME: {"error": TEXT}, …}
"""

import json
import random
import socket
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PORTS = range(7001, 7041)
SIZE = 100_000
# In seconds. Emulated machines are ten times slower than others.
TIMEOUT = 60.0
CHUNK = 16384


def main(arguments: list[str]) -> int:
    """Be one of the two."""
    if arguments[:1] == ["serve"] and len(arguments) == 2:
        serve(arguments[1])
    elif arguments == ["probe"]:
        sys.stdout.write(json.dumps(probe(json.load(sys.stdin))) + "\n")
    else:
        sys.stderr.write(__doc__ or "")
        return 2
    return 0


def serve(pem: str) -> None:
    """Serve until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listeners = [
        socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64) for port in PORTS
    ]
    threads = [threading.Thread(target=_accept, args=(listener, context)) for listener in listeners]
    for thread in threads:
        thread.start()
    sys.stdout.write("listening\n")
    sys.stdout.flush()


def _accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_echo, args=(connection, context), daemon=True).start()


def _echo(connection: socket.socket, context: ssl.SSLContext) -> None:
    connection.settimeout(TIMEOUT)
    try:
        with context.wrap_socket(connection, server_side=True) as tls:
            # An IPv4 client of a socket for both.
            peer = str(tls.getpeername()[0]).removeprefix("::ffff:")
            tls.sendall(peer.encode() + b"\n")
            while data := tls.recv(CHUNK):
                tls.sendall(data)
            tls.unwrap()
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        sys.stdout.flush()


def probe(cases: dict[str, tuple[str, int]]) -> dict[str, Any]:
    """Try all cases at once."""
    with ThreadPoolExecutor(max(1, len(cases))) as pool:
        return dict(zip(cases, pool.map(_try, cases.values()), strict=True))


def _try(where: tuple[str, int]) -> dict[str, Any]:
    data = random.Random(SIZE).randbytes(SIZE)  # noqa: S311 - only to be told from other bytes
    try:
        with socket.create_connection((where[0], where[1]), timeout=TIMEOUT) as connection:
            peer = connection.getpeername()[0]
            threading.Thread(target=_push, args=(connection, data), daemon=True).start()
            came = bytearray()
            while more := connection.recv(CHUNK):
                came += more
        seen, _, back = bytes(came).partition(b"\n")
        return {"peer": peer, "seen": seen.decode(errors="replace"), "same": back == data}
    except OSError as error:
        return {"error": str(error) or type(error).__name__}


def _push(connection: socket.socket, data: bytes) -> None:
    try:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        # The one who reads tells of it.
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
