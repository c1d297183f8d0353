"""ClientHellos that nobody means well with: large, mangled, full of identities. Others are served meanwhile."""

import contextlib
import random
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtunnel.tls.hello import MAX_HELLO, parse
from tests.support import tls
from tests.support.certificates import Pki
from tests.support.hellos import in_records, with_extensions
from tests.support.servers import Server
from tests.support.tunnels import Tunnels
from tests.support.visits import backend, visit

SEED = 20261121
ROUNDS = 300
# Of a worker, after all of it: a leak of a few hello-sized buffers for each would be more.
MORE_KIB = 40 * 1024


def real(name: str) -> bytes:
    """The body of a ClientHello message."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client_context().wrap_bio(into, out, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    body = out.read()[9:]
    parse(body)
    return body


def identities(number: int, size: int = 20) -> bytes:
    """An extension's worth of pre-shared keys that nobody has."""
    offered = b"".join(struct.pack("!H", size) + bytes(size) + bytes(4) for _ in range(number))
    binders = b"".join(b"\x20" + bytes(32) for _ in range(number))
    return struct.pack("!H", len(offered)) + offered + struct.pack("!H", len(binders)) + binders


def hostile() -> Iterator[bytes]:
    """Hellos, some of them right in form."""
    body = real("second.test")
    yield in_records(with_extensions(body, (41, identities(1000))))
    yield in_records(with_extensions(body, (41, identities(1000, 1))))
    yield in_records(with_extensions(body, (65000, bytes(60000))))
    yield in_records(with_extensions(body, (65000, bytes(60000))), 100)
    yield in_records(with_extensions(body, (0, b"\x00\x08\x00\x00\x05other"), (0, b"\x00\x08\x00\x00\x05third")))
    yield in_records(with_extensions(body, (43, b"\x02\x03\x04"), (43, b"\x02\x03\x03")))
    yield in_records(with_extensions(body, (0, b"")))
    yield in_records(real("a" * 63 + "." + "b" * 63))
    yield in_records(body + bytes(MAX_HELLO - len(body)))
    yield in_records(body + bytes(MAX_HELLO - len(body)), 1)[:300000]
    yield in_records(body, claimed=MAX_HELLO)
    yield in_records(body, claimed=0xFFFFFF)
    yield in_records(body) + b"garbage after it" * 100
    yield in_records(body) + in_records(body)
    yield in_records(body) + b"\x16\x03\x03\x40\x00" + bytes(16384)
    chance = random.Random(SEED)
    for _ in range(ROUNDS):
        mangled = bytearray(body)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(mangled))
            match chance.randrange(3):
                case 0:
                    mangled[at] = chance.randrange(256)
                case 1:
                    del mangled[at : at + chance.randrange(1, 9)]
                case _:
                    mangled[at:at] = chance.randbytes(chance.randrange(1, 9))
        yield in_records(bytes(mangled), chance.choice((1, 7, 200, 16384)))


def size_of(pid: int) -> int:
    """How much memory a process has, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


@pytest.mark.parametrize("keys", [False, True], ids=["certificate", "keys"])
def test_no_hello_harms_anybody(
    gtunnel: Tunnels,
    pki: Pki,
    server: Callable[..., Server],
    free_port: Callable[[], int],
    tmp_path: Path,
    *,
    keys: bool,
) -> None:
    port = free_port()
    main, second = (server(backend(name)).endpoint for name in ("main", "second"))
    identity = f"cert = {pki.server.cert}\nkey = {pki.server.key}\n"
    if keys:
        file = tmp_path / "psk"
        file.touch(mode=0o600)
        file.write_text(f"somebody:{'12' * 32}\n")
        identity += f"PSKsecrets = {file}\nciphers = HIGH:PSK\n"
    running = gtunnel(
        f"workers = 1\nTIMEOUTbusy = 5\n[main]\naccept = 127.0.0.1:{port}\nconnect = {main}\n{identity}"
        f"[second]\nsni = main:second.test\nconnect = {second}\n{identity}"
    )
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children")
    (worker,) = [int(word) for word in children.read_text().split()]
    assert visit(port, name="second.test").reached == "second"
    before = size_of(worker)
    for data in hostile():
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", port), timeout=15) as connection,
        ):
            connection.sendall(data)
            with contextlib.suppress(OSError):
                # Reset already, perhaps.
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    assert visit(port, name="second.test").reached == "second"
    assert visit(port, name="other.test").reached == "main"
    assert size_of(worker) - before < MORE_KIB
    assert [int(word) for word in children.read_text().split()] == [worker]
    assert "INTERNAL ERROR" not in running.output
