"""What stands in for gtunnel, its clients and its servers in the traffic tests: plain sockets, a thread per direction.

python -m tests.netsetup.standin server PORT HOST…     says who connected, then echoes
python -m tests.netsetup.standin client HOST PORT SIZE sends SIZE bytes, wants them back
python -m tests.netsetup.standin talk PORT HOST        echoes its input by way of a server, line by line
python -m tests.netsetup.standin proxy JSON            the proxy; a line of JSON for each connection
"""

import contextlib
import hashlib
import json
import os
import socket
import struct
import sys
import threading
from typing import Any

_IP_TRANSPARENT = 19
_IP_BIND_ADDRESS_NO_PORT = 24
_IPV6_TRANSPARENT = 75
_SO_ORIGINAL_DST = 80
_SIZE = 65536


def server(hosts: list[str], port: int) -> None:
    """On each host, tell each peer how it looks from here, then echo."""

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            seen = {"peer": _plain(connection.getpeername()), "local": _plain(connection.getsockname())}
            connection.sendall(json.dumps(seen).encode() + b"\n")
            while data := connection.recv(_SIZE):
                connection.sendall(data)

    for host in hosts:
        _listen(host, port, transparent=False, serve=serve)
    _ready()


def client(host: str, port: int, size: int) -> dict[str, Any]:
    """What the connection looked like from both ends, and whether all bytes came back."""
    payload = hashlib.shake_128(str(size).encode()).digest(size)
    received = hashlib.sha256()
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.settimeout(15)
            local, peer = connection.getsockname(), connection.getpeername()
            head, stream = b"", connection.makefile("rb")
            head = stream.readline()

            def send() -> None:
                connection.sendall(payload)
                connection.shutdown(socket.SHUT_WR)

            sender = threading.Thread(target=send, daemon=True)
            sender.start()
            while data := stream.read1(_SIZE):
                received.update(data)
            sender.join()
    except OSError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    whole = received.digest() == hashlib.sha256(payload).digest()
    if not head:
        return {"error": "closed without a word"}
    return {"local": _plain(local), "peer": _plain(peer), "server": json.loads(head), "whole": whole}


def talk(host: str, port: int) -> None:
    """One connection that stays open: each line from standard input goes there, and what comes back is printed."""
    with socket.create_connection((host, port), timeout=5) as connection:
        stream = connection.makefile("rwb")
        stream.readline()
        print("ready", flush=True)
        for line in sys.stdin:
            stream.write(line.encode())
            stream.flush()
            print(stream.readline().decode(), end="", flush=True)


def proxy(listeners: list[list[Any]], source: bool, mark: int, target: list[Any] | None) -> None:
    """Connect each peer to the target, or to where it wanted to go; with its own address if `source`."""

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            peer, origin = _plain(connection.getpeername()), _origin(connection)
            there = target_of(peer) if target else origin
            print(json.dumps({"peer": peer, "origin": origin}), flush=True)
            if there[1] in {port for _, port in listeners}:
                return  # a loop
            with _outgoing(peer, mark, source=source) as onward:
                onward.connect((there[0], there[1]))
                back = threading.Thread(target=_pump, args=(onward, connection), daemon=True)
                back.start()
                _pump(connection, onward)
                back.join()

    def target_of(peer: list[Any]) -> list[Any]:
        assert target is not None
        return next(one for one in target if (":" in one[0]) == (":" in peer[0]))

    for host, port in listeners:
        _listen(host, port, transparent=True, serve=serve)
    _ready()


def _outgoing(peer: list[Any], mark: int, *, source: bool) -> socket.socket:
    six = ":" in peer[0]
    onward = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
    onward.settimeout(5)
    onward.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    if source:
        _make_transparent(onward)
        onward.setsockopt(socket.SOL_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        onward.bind((peer[0], 0))
    return onward


def _origin(connection: socket.socket) -> list[Any]:
    """Where the peer wanted to go: what was rewritten, if anything was; else the address it has reached."""
    local = _plain(connection.getsockname())
    try:
        if ":" in local[0]:
            raw = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
            return [socket.inet_ntop(socket.AF_INET6, raw[8:24]), struct.unpack("!H", raw[2:4])[0]]
        raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
        return [socket.inet_ntoa(raw[4:8]), struct.unpack("!H", raw[2:4])[0]]
    except OSError:
        return local


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        source.settimeout(15)
        while data := source.recv(_SIZE):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _listen(host: str, port: int, *, transparent: bool, serve: Any) -> None:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in host and "dual" not in os.environ.get("STANDIN", ""):
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if transparent:
        _make_transparent(listener)
    listener.bind((host, port))
    listener.listen(64)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def _make_transparent(one: socket.socket) -> None:
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    else:
        one.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)


def _plain(address: Any) -> list[Any]:
    """Host and port; IPv4 as IPv4, also on a socket of IPv6."""
    return [address[0].removeprefix("::ffff:"), address[1]]


def _ready() -> None:
    print("ready", flush=True)
    sys.stdin.read()  # until whoever started us goes


def main(arguments: list[str]) -> None:
    """As the module's text says."""
    if arguments[0] == "server":
        server(arguments[2:], int(arguments[1]))
    elif arguments[0] == "talk":
        talk(arguments[2], int(arguments[1]))
    elif arguments[0] == "client":
        print(json.dumps(client(arguments[1], int(arguments[2]), int(arguments[3]))))
    else:
        proxy(**json.loads(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
