"""TLS by the kernel, on a kernel that has it: is it right, and what is it worth? Runs on that machine, over loopback.

    ktls.py check [--mib N]       every case, in both modes; a line for each, and status 1 if one does not hold
    ktls.py measure [--mib N]     processor seconds of gtunnel, in alternation: without the kernel's TLS, and with it

As root, with gtunnel's source beside this directory. Peers are Python's ssl, and `openssl s_client` for what that
cannot do.
"""

import argparse
import contextlib
import hashlib
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

SOURCE = Path(__file__).resolve().parent.parent
# An emulated processor takes its time.
PATIENCE = 120.0
CHUNK = 1 << 16
# Beyond what makes gtunnel call a connection bulky.
BULKY = 1 << 20
SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
START = "from gtunnel.cli.main import entry; entry()"
# What other ways there are to move what the kernel has decrypted.
UNSPLICED = f"from gtunnel.tunnel import takeover; takeover.SPLICES = False; {START}"
CONF = """
foreground = yes
output = {place}/log
syslog = no
pid =
debug = 7
workers = 1
[server]
accept = 127.0.0.1:{server}
connect = 127.0.0.1:{backend}
cert = {place}/pem
{options}
[client]
client = yes
accept = 127.0.0.1:{client}
connect = 127.0.0.1:{tls_backend}
{options}
"""


class WrongError(Exception):
    """Something did not hold."""


class Peer:
    """One end of a connection, TLS or plain. With TLS, over memory BIOs: `ssl`'s sockets have no half-close."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None = None, *, server: bool = False) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE)
        self.tls: ssl.SSLObject | None = None
        self.damage = False
        if context is not None:
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self.tls = context.wrap_bio(self._in, self._out, server_side=server)
            self._drive(self.tls.do_handshake)

    def _drive(self, step: Callable[[], bytes | int | None]) -> bytes | int | None:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(CHUNK)
                if not data:
                    raise WrongError("the stream ended without close_notify") from None
                self._in.write(data[:-1] + bytes([data[-1] ^ 1]) if self.damage else data)
            except ssl.SSLZeroReturnError:
                return b""
            else:
                self.flush()
                return result

    def flush(self) -> None:
        """Send what TLS has to say."""
        while data := self._out.read():
            self.sock.sendall(data)

    def sealed(self, data: bytes) -> bytes:
        """The records of some data, not sent."""
        if self.tls is None:
            raise TypeError("no TLS")
        self.tls.write(data)
        return self._out.read()

    def send(self, data: bytes) -> None:
        if self.tls is None:
            self.sock.sendall(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), CHUNK):
            part = view[start : start + CHUNK]
            while part:
                part = part[self.tls.write(part) :]
                self.flush()

    def receive(self, size: int = CHUNK) -> bytes:
        tls = self.tls
        if tls is None:
            return self.sock.recv(size)
        return bytes(self._drive(lambda: tls.read(size)))  # type: ignore[arg-type]

    def receive_all(self) -> bytes:
        return b"".join(iter(self.receive, b""))

    def receive_exactly(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size and (more := self.receive(min(CHUNK, size - len(got)))):
            got += more
        return bytes(got)

    def end(self) -> None:
        """Our direction only."""
        if self.tls is None:
            self.sock.shutdown(socket.SHUT_WR)
            return
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLSyscallError):
            self.tls.unwrap()
        self.flush()

    def close(self) -> None:
        self.sock.close()


class Bed:
    """gtunnel with a service in each mode, and both its backends, which hand over whom they accept."""

    def __init__(self, place: Path, options: str, start: str = START) -> None:
        self.place = place
        self._listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in ("backend", "tls_backend")}
        ports: dict[str, int] = {name: listener.getsockname()[1] for name, listener in self._listeners.items()}
        for name in ("server", "client"):
            with socket.create_server(("127.0.0.1", 0)) as listener:
                ports[name] = listener.getsockname()[1]
        self._ports = ports
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(place / "pem")
        self.trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.trusting.check_hostname, self.trusting.verify_mode = False, ssl.CERT_NONE
        for context in (self.context, self.trusting):
            # Debian's Python takes a cut stream for one that has ended.
            context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        (place / "log").write_text("")
        (place / "conf").write_text(CONF.format(place=place, options=options, **ports))
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, str(place / "conf")],
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
            stderr=subprocess.DEVNULL,
        )
        for name in ("server", "client"):
            wait_for(lambda name=name: _is_listening(ports[name]), f"gtunnel listens as {name}")  # type: ignore[misc]
        for listener in self._listeners.values():
            listener.settimeout(PATIENCE)

    @property
    def port(self) -> int:
        """Of the service that is a TLS server."""
        return self._ports["server"]

    def pair(self, mode: str) -> tuple[Peer, Peer]:
        """A connection through gtunnel: its TLS end, and its plain end."""
        if mode == "server":
            sock = socket.create_connection(("127.0.0.1", self._ports["server"]), timeout=PATIENCE)
            tls = Peer(sock, self.trusting)
            plain = Peer(self._listeners["backend"].accept()[0])
        else:
            plain = Peer(socket.create_connection(("127.0.0.1", self._ports["client"]), timeout=PATIENCE))
            tls = Peer(self._listeners["tls_backend"].accept()[0], self.context, server=True)
        return tls, plain

    def accept(self) -> Peer:
        """The plain end of a connection that somebody else makes to the server."""
        return Peer(self._listeners["backend"].accept()[0])

    @property
    def log(self) -> str:
        return (self.place / "log").read_text()

    def wait_for(self, text: str) -> None:
        wait_for(lambda: text in self.log, f"the log says {text!r}", self)

    def forget(self) -> None:
        """Begin a new log."""
        os.truncate(self.place / "log", 0)

    def seconds(self) -> float:
        """Processor seconds of all of gtunnel's processes."""
        return sum(_seconds(pid) for pid in (self.process.pid, *_children(self.process.pid)))

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)
        for listener in self._listeners.values():
            listener.close()


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _seconds(pid: int) -> float:
    # A process' own clock, in nanoseconds: CPUCLOCK_SCHED (include/linux/posix-timers.h).
    return time.clock_gettime((~pid << 3) | 2)


def _is_listening(port: int) -> bool:
    """Without a connection that somebody would have to take."""
    lines = Path("/proc/net/tcp").read_text().split("\n")[1:]
    return any(line.split()[1:4:2] == [f"0100007F:{port:04X}", "0A"] for line in lines if line)


def wait_for(condition: Callable[[], bool], what: str, bed: Bed | None = None) -> None:
    """Until it holds, or too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise WrongError(f"waited in vain: {what}" + ("" if bed is None else f"\n{bed.log[-3000:]}"))
        time.sleep(0.05)


def counters() -> dict[str, int]:
    """What the kernel has to say of its TLS."""
    lines = Path("/proc/net/tls_stat").read_text().split("\n")
    return {name: int(value) for name, value in (line.split() for line in lines if line)}


@contextlib.contextmanager
def running(options: str, start: str = START) -> Iterator[Bed]:
    """gtunnel, with these lines in both services."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
        files = ["-keyout", str(place / "key"), "-out", str(place / "crt")]
        subprocess.run(["openssl", *request.split(), *files], check=True, capture_output=True)
        (place / "pem").write_text((place / "key").read_text() + (place / "crt").read_text())
        bed = Bed(place, options, start)
        try:
            yield bed
        finally:
            bed.close()


def _in_background(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _data(size: int) -> bytes:
    seed = os.urandom(1 << 16)
    return b"".join(hashlib.sha256(seed[:8] + n.to_bytes(8)).digest() + seed for n in range(size // len(seed) + 1))[
        :size
    ]


def _transfer(sender: Peer, receiver: Peer, data: bytes, *, end: bool = False) -> None:
    def send() -> None:
        sender.send(data)
        if end:
            sender.end()

    thread = _in_background(send)
    got = receiver.receive_all() if end else receiver.receive_exactly(len(data))
    thread.join(PATIENCE)
    if got != data:
        raise WrongError(f"{len(got)} bytes arrived of {len(data)}, or others")


def _taken_over(bed: Bed, mode: str) -> tuple[Peer, Peer]:
    """A connection that is the kernel's."""
    bed.forget()
    tls, plain = bed.pair(mode)
    _transfer(tls, plain, _data(BULKY))
    _transfer(plain, tls, b"and back")
    bed.wait_for("TLS is the kernel's")
    return tls, plain


def whole(bed: Bed, mode: str, size: int) -> None:
    """Much both ways, the one behind the other's end, and the kernel did it."""
    before = counters()
    bed.forget()
    tls, plain = bed.pair(mode)
    for sender, receiver in ((tls, plain), (plain, tls)):
        _transfer(sender, receiver, _data(size), end=True)
    bed.wait_for("TLS is the kernel's")
    bed.wait_for("Connection closed")
    after = counters()
    for name in ("TlsTxSw", "TlsRxSw"):
        if after[name] - before[name] != 1:
            raise WrongError(f"{name} was {before[name]} and is {after[name]}")
    for peer in (tls, plain):
        peer.close()


def both_at_once(bed: Bed, mode: str, size: int) -> None:
    """Much in both directions at the same time."""
    bed.forget()
    tls, plain = bed.pair(mode)
    one, other = _data(size), _data(size)
    sent = [_in_background(lambda: plain.send(one))]
    received: list[bytes] = []
    thread = _in_background(lambda: received.append(plain.receive_exactly(size)))
    # Python's TLS is not for two threads: in turns.
    got = bytearray()
    for start in range(0, size, CHUNK):
        tls.send(other[start : start + CHUNK])
        got += tls.receive_exactly(min(CHUNK, size - start))
    for waiting in (thread, *sent):
        waiting.join(PATIENCE)
    if bytes(got) != one or received != [other]:
        raise WrongError("other bytes arrived")
    bed.wait_for("TLS is the kernel's")
    for peer in (tls, plain):
        peer.close()


def slow_reader(bed: Bed, mode: str, size: int) -> None:
    """Who reads late gets all of it, and the end, of somebody who has gone."""
    tls, plain = _taken_over(bed, mode)
    data = _data(size)

    def send() -> None:
        plain.send(data)
        plain.end()

    thread = _in_background(send)
    tls.end()
    time.sleep(2)
    got = tls.receive_all()
    thread.join(PATIENCE)
    if got != data:
        raise WrongError(f"{len(got)} bytes arrived of {len(data)}")
    bed.wait_for("Connection closed")


def truncated(bed: Bed, mode: str, _: int) -> None:
    """A stream that ends without close_notify is an error, and the other side learns that it has not got everything."""
    tls, plain = _taken_over(bed, mode)
    tls.sock.shutdown(socket.SHUT_WR)
    bed.wait_for("no close_notify: the data may be truncated")
    try:
        rest = plain.receive_all()
    except ConnectionResetError:
        return
    raise WrongError(f"an ordinary end, after {len(rest)} bytes")


def damaged(bed: Bed, mode: str, _: int) -> None:
    """A record that nobody has protected: an error, and the peer is told."""
    tls, plain = _taken_over(bed, mode)
    record = bytearray(tls.sealed(b"x" * 100))
    record[50] ^= 1
    tls.sock.sendall(record)
    bed.wait_for("bad record mac")
    try:
        tls.receive_all()
    except ssl.SSLError as error:
        if "MAC" not in str(error).upper():
            raise WrongError(f"the peer was told: {error}") from error
    except OSError:
        # The reset was quicker.
        pass
    plain.close()


def nonsense(bed: Bed, mode: str, _: int) -> None:
    """What is no record at all."""
    tls, plain = _taken_over(bed, mode)
    tls.sock.sendall(b"GET / HTTP/1.0\r\n\r\n" * 2000)
    bed.wait_for("Connection reset: ")
    if "SSL_read: SSL routines::" not in bed.log:
        raise WrongError("no reason was told")
    for peer in (tls, plain):
        peer.close()


def alerted(bed: Bed, mode: str, _: int) -> None:
    """The peer's fatal alert is what the error says."""
    tls, plain = _taken_over(bed, mode)
    tls.damage = True
    plain.send(b"something")
    try:
        tls.receive()
    except ssl.SSLError:
        tls.flush()
    else:
        raise WrongError("the peer takes damaged records")
    bed.wait_for("SSL_read: SSL routines::sslv3 alert bad record mac")
    for peer in (tls, plain):
        peer.close()


def reset(bed: Bed, mode: str, _: int) -> None:
    """A peer that resets: an error, and the other side learns of it."""
    tls, plain = _taken_over(bed, mode)
    tls.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.close()
    bed.wait_for("Connection reset by peer")
    with contextlib.suppress(ConnectionResetError):
        if plain.receive_all() is not None:
            raise WrongError("an ordinary end")


def half_a_record(bed: Bed, mode: str, _: int) -> None:
    """The rest of a record that does not come is waited for, not looked for."""
    tls, plain = _taken_over(bed, mode)
    record = tls.sealed(b"y" * 10000)
    tls.sock.sendall(record[:5000])
    time.sleep(0.5)
    before = bed.seconds()
    time.sleep(3)
    spent = bed.seconds() - before
    tls.sock.sendall(record[5000:])
    if plain.receive_exactly(10000) != b"y" * 10000:
        raise WrongError("other bytes arrived")
    for peer in (tls, plain):
        peer.close()
    if spent > 1:
        raise WrongError(f"{spent:.2f} processor seconds in 3 seconds of waiting")


@contextlib.contextmanager
def _openssl(bed: Bed) -> Iterator[tuple[IO[bytes], Peer, "subprocess.Popen[bytes]"]]:
    """openssl s_client as gtunnel's client, which changes its keys when it reads `k`: what it reads, and the target."""
    bed.forget()
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{bed.port}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet) as peer:
        if peer.stdin is None:
            raise TypeError("no pipe")
        plain = bed.accept()
        try:
            yield peer.stdin, plain, peer
        finally:
            peer.kill()
            plain.close()


def _type(keyboard: IO[bytes], text: bytes) -> None:
    """Commands are those that a read of s_client begins with."""
    time.sleep(1)
    keyboard.write(text)
    keyboard.flush()


_LINES = b"xxxxxxx\n" * (BULKY // 8)


def key_update(bed: Bed, _mode: str, _: int) -> None:
    """A peer that changes its keys has its connection ended, with the reason."""
    with _openssl(bed) as (keyboard, plain, _peer):
        _type(keyboard, _LINES)
        plain.receive_exactly(BULKY)
        bed.wait_for("TLS is the kernel's")
        _type(keyboard, b"k\n")
        bed.wait_for("the peer changes its keys (KeyUpdate), which the kernel cannot follow")


def key_update_before(bed: Bed, _mode: str, _: int) -> None:
    """One that has changed them before stays with OpenSSL."""
    with _openssl(bed) as (keyboard, plain, peer):
        _type(keyboard, b"k\n")
        _type(keyboard, _LINES)
        plain.receive_exactly(BULKY)
        bed.wait_for("TLS stays in user space")
        keyboard.close()
        plain.receive_all()
        peer.wait(PATIENCE)


BOTH = ("server", "client")
# With a client that changes its keys there is no peer but openssl's, and only in server mode.
CASES = (
    *((case, BOTH) for case in (whole, both_at_once, slow_reader, truncated, damaged, nonsense, alerted, reset)),
    *((half_a_record, BOTH), (key_update, BOTH[:1]), (key_update_before, BOTH[:1])),
)


def say(text: str) -> None:
    """A line for who watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def prepare() -> None:
    """Have the kernel use what the processor has for AES: where there is no udev, nobody has loaded it."""
    for module in ("tls", "aesni_intel", "ghash_clmulni_intel"):
        subprocess.run(["modprobe", "--quiet", module], check=False)
    blocks = Path("/proc/crypto").read_text().split("\n\n")
    drivers = [
        found[1]
        for block in blocks
        if re.search(r"^name +: gcm\(aes\)$", block, re.MULTILINE)
        and (found := re.search(r"^driver +: (.*)$", block, re.MULTILINE))
    ]
    say(f"Linux {os.uname().release}, {ssl.OPENSSL_VERSION}; gcm(aes): {', '.join(drivers) or 'not loaded yet'}")


def check(size: int) -> int:
    """All cases."""
    wrong = 0
    for suite in SUITES:
        with running(f"options = ENABLE_KTLS\nciphersuites = {suite}") as bed:
            for case, modes in CASES if suite == SUITES[0] else ((whole, BOTH),):
                for mode in modes:
                    try:
                        case(bed, mode, size)
                        verdict = "holds"
                    except (WrongError, OSError, ssl.SSLError) as error:
                        wrong += 1
                        verdict = f"FAILED: {error!r}\n{bed.log[-1500:]}"
                    say(f"{case.__name__}, {mode}, {suite}: {verdict}")
            for line in set(re.findall("INTERNAL ERROR.*", bed.log)):
                wrong += 1
                say(line)
    say(" ".join(f"{name} {value}" for name, value in counters().items()))
    return 1 if wrong else 0


def measure(size: int, turns: int) -> int:
    """Processor seconds by mode, direction and manner, in alternation."""
    suite = f"ciphersuites = {SUITES[0]}"
    kernel = f"{suite}\noptions = ENABLE_KTLS"
    manners = {"user space": (suite, START), "kernel": (kernel, UNSPLICED), "kernel, splice": (kernel, START)}
    results: dict[tuple[str, str, str], list[float]] = {}
    data = _data(1 << 20)
    for _ in range(turns):
        for manner, (options, start) in manners.items():
            with running(options, start) as bed:
                for mode in ("server", "client"):
                    for direction in ("from TLS", "to TLS"):
                        spent = _spent(bed, mode, direction, data, size)
                        results.setdefault((mode, direction, manner), []).append(spent)
                        say(f"{mode}, {direction}, {manner}: {spent * (1 << 30) / size:.1f} s/GiB")
    for (mode, direction, manner), seconds in results.items():
        each = sorted(second * (1 << 30) / size for second in seconds)
        shown = " ".join(f"{second:.1f}" for second in each)
        say(f"{mode}, {direction}, {manner}: median {each[len(each) // 2]:.1f} s/GiB ({shown})")
    return 0


def _spent(bed: Bed, mode: str, direction: str, data: bytes, size: int) -> float:
    tls, plain = bed.pair(mode)
    sender, receiver = (tls, plain) if direction == "from TLS" else (plain, tls)
    # What comes before the takeover is not measured.
    _transfer(sender, receiver, data)

    def send() -> None:
        for _ in range(size // len(data)):
            sender.send(data)

    before = bed.seconds()
    thread = _in_background(send)
    left = size
    while left:
        left -= len(receiver.receive(min(left, CHUNK)))
    thread.join(PATIENCE)
    spent = bed.seconds() - before
    for peer in (tls, plain):
        peer.close()
    return spent


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("check", "measure"))
    parser.add_argument("--mib", type=int, default=4)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    size = args.mib << 20
    prepare()
    return check(size) if args.what == "check" else measure(size, args.turns)


if __name__ == "__main__":
    sys.exit(main())
