"""Many connections at once, as two programs for namespaces.

    python -m tests.support.crowd serve --cert PEM HOST:PORT …        TLS; each connection learns who it is and is ended
    python -m tests.support.crowd come --rounds N --at-once N HOST:PORT …
                                                                      plain; prints {"kept", "lost": {why: how many}}

All of a round are there at once: each says who it is and hears whom the server saw, and only then they go. The server
is who ends connections, so that it is the one that remembers their ports (TIME_WAIT).
"""

import argparse
import asyncio
import collections
import json
import socket
import ssl
import sys
import threading

from tests.support.tls import TlsPeer

TIMEOUT = 20.0


def main() -> int:
    """Parse the command line and be one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("--cert", required=True)
    serve.set_defaults(func=_serve)
    come = commands.add_parser("come")
    come.add_argument("--rounds", type=int, required=True)
    come.add_argument("--at-once", type=int, required=True)
    come.set_defaults(func=lambda args: asyncio.run(_come(args)))
    for command in (serve, come):
        command.add_argument("servers", nargs="+")
    args = parser.parse_args()
    return int(args.func(args))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _serve(args: argparse.Namespace) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(args.cert)
    for host, port in map(_address, args.servers):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=1024)
        threading.Thread(target=_accept, args=(listener, context), daemon=True).start()
    print("listening", flush=True)
    threading.Event().wait()
    return 0


def _accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer, args=(connection, context), daemon=True).start()


def _answer(connection: socket.socket, context: ssl.SSLContext) -> None:
    connection.settimeout(TIMEOUT)
    with connection:
        try:
            peer = TlsPeer(connection, context, server_side=True)
            peer.send(f"{connection.getpeername()[0]} {_line(peer)}".encode())
            _line(peer)
            peer.close_notify()
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
        except (OSError, ssl.SSLError, EOFError) as error:
            # The client tells of what it lost; this says why.
            print(repr(error), flush=True)


def _line(peer: TlsPeer) -> str:
    text = b""
    while not text.endswith(b"\n"):
        more = peer.receive()
        if not more:
            raise EOFError
        text += more
    return text.decode()


async def _come(args: argparse.Namespace) -> int:
    servers = [_address(text) for text in args.servers]
    lost: collections.Counter[str] = collections.Counter()
    kept = 0
    for _ in range(args.rounds):
        targets = [servers[number % len(servers)] for number in range(args.at_once)]
        there = asyncio.Barrier(args.at_once)
        outcomes = await asyncio.gather(*(_one(number, target, there) for number, target in enumerate(targets)))
        kept += outcomes.count("")
        lost.update(outcome for outcome in outcomes if outcome)
    print(json.dumps({"kept": kept, "lost": lost}), flush=True)
    return 0


async def _one(number: int, target: tuple[str, int], there: asyncio.Barrier) -> str:
    """What went wrong, or nothing."""
    problem, writer = "", None
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_connection(*target)
            ours = writer.get_extra_info("sockname")[0]
            writer.write(f"{number}\n".encode())
            answer = (await reader.readline()).decode()
            if answer != f"{ours} {number}\n":
                problem = f"answered {answer!r}" if answer else "ended without an answer"
    except OSError as error:
        problem = repr(error)
    # Who failed is counted as well: nobody waits for ever.
    await there.wait()
    if writer is None:
        return problem
    try:
        async with asyncio.timeout(TIMEOUT):
            if not problem:
                writer.write(b"bye\n")
                if await reader.read():
                    problem = "more than an answer"
    except OSError as error:
        problem = repr(error)
    finally:
        writer.close()
    return problem


if __name__ == "__main__":
    sys.exit(main())
