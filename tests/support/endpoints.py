"""The two ends of a connection as programs, for namespaces: they say as JSON what they saw.

    python -m tests.support.endpoints serve  HOST PORT [--cert PEM]   echoes; a line {"listening": …}, then one for each
                                                                      connection {"peer", "local", "size", "digest"}
    python -m tests.support.endpoints probe  HOST PORT [--size N]     sends N random bytes while it reads them back, and
                                             [--tls] [--bind HOST]    prints one line {"peer", "local", "size", "same"}
"""

import argparse
import hashlib
import json
import random
import socket
import ssl
import sys
import threading
from collections.abc import Callable

from tests.support.tls import TlsPeer, client_context

CHUNK = 65536
TIMEOUT = 20.0

Stream = tuple[Callable[[bytes], None], Callable[[], bytes], Callable[[], None]]


def main() -> int:
    """Parse the command line and be one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("serve", _serve), ("probe", _probe)):
        command = commands.add_parser(name)
        command.add_argument("host")
        command.add_argument("port", type=int)
        command.set_defaults(func=function)
    commands.choices["serve"].add_argument("--cert", help="a file with certificate and key: speak TLS")
    commands.choices["probe"].add_argument("--size", type=int, default=1 << 20, help="bytes in each direction")
    commands.choices["probe"].add_argument("--tls", action="store_true", help="speak TLS, trusting anybody")
    commands.choices["probe"].add_argument("--bind", default="", help="local address")
    args = parser.parse_args()
    return int(args.func(args))


def _serve(args: argparse.Namespace) -> int:
    context = None
    if args.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(args.cert)
    family = socket.AF_INET6 if ":" in args.host else socket.AF_INET
    with socket.create_server((args.host, args.port), family=family, backlog=128) as listener:
        _say({"listening": [args.host, listener.getsockname()[1]]})
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_echo, args=(connection, context), daemon=True).start()


def _echo(connection: socket.socket, context: ssl.SSLContext | None) -> None:
    digest, size, problem = hashlib.sha256(), 0, ""
    peer, local = connection.getpeername()[:2], connection.getsockname()[:2]
    try:
        with connection:
            send, receive, end = _stream(connection, context, server_side=True)
            while data := receive():
                digest.update(data)
                size += len(data)
                send(data)
            end()
    except Exception as error:  # noqa: BLE001 - the test reads it
        problem = repr(error)
    _say({"peer": peer, "local": local, "size": size, "digest": digest.hexdigest(), "error": problem})


def _probe(args: argparse.Namespace) -> int:
    data = random.Random(args.size).randbytes(args.size)
    source = (args.bind, 0) if args.bind else None
    with socket.create_connection((args.host, args.port), timeout=TIMEOUT, source_address=source) as connection:
        peer, local = connection.getpeername()[:2], connection.getsockname()[:2]
        if args.tls:
            same, size = _exchange_in_turns(connection, data)
        else:
            same, size = _exchange_at_once(connection, data)
    _say({"peer": peer, "local": local, "size": size, "same": same})
    return 0 if same else 1


def _exchange_at_once(connection: socket.socket, data: bytes) -> tuple[bool, int]:
    """Send and read at the same time: both directions are full at once."""

    def push() -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    pushing = threading.Thread(target=push, daemon=True)
    pushing.start()
    digest, size = hashlib.sha256(), 0
    while more := connection.recv(CHUNK):
        digest.update(more)
        size += len(more)
    pushing.join(TIMEOUT)
    return digest.digest() == hashlib.sha256(data).digest(), size


def _exchange_in_turns(connection: socket.socket, data: bytes) -> tuple[bool, int]:
    """A TLS object is not for two threads: a chunk out, the same chunk back."""
    back = bytearray()
    with TlsPeer(connection, client_context(), server_hostname="localhost") as peer:
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            peer.send(chunk)
            back += peer.receive_exactly(len(chunk))
        peer.close_notify()
        back += peer.receive_all()
    return bytes(back) == data, len(back)


def _stream(connection: socket.socket, context: ssl.SSLContext | None, *, server_side: bool) -> Stream:
    connection.settimeout(TIMEOUT)
    if context is None:
        return connection.sendall, lambda: connection.recv(CHUNK), lambda: connection.shutdown(socket.SHUT_WR)
    peer = TlsPeer(connection, context, server_side=server_side)
    return peer.send, peer.receive, peer.close_notify


def _say(message: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
