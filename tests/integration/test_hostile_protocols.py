"""Peers that do not speak the protocol, or stop in the middle of it: one line says so, both sides are closed, and the
next connection is served.

To add a protocol, add what is ordinary about it to `LIVES` and what is hostile to `CASES`.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.certificates import Pki
from tests.support.daemon import Daemon
from tests.support.ports import free_port
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

PATIENCE = 20.0


@dataclass(frozen=True)
class Life:
    """What is ordinary in one mode of a protocol: the target's greeting, what the client says first, and what one of
    them hears of gtunnel then."""

    greeting: bytes
    asks: bytes
    client_hears: bytes = b""
    target_hears: bytes = b""


# By protocol, and whether in client mode.
LIVES = {
    ("smtp", False): Life(b"220 mail\r\n", b"EHLO me\r\n", client_hears=b"220 mail\r\n250-"),
    ("imap", False): Life(b"* OK mail\r\n", b"a NOOP\r\n", client_hears=b"* OK [CAPABILITY"),
    ("pop3", False): Life(b"+OK mail\r\n", b"CAPA\r\n", client_hears=b"+OK mail\r\n+OK"),
    ("pgsql", False): Life(b"", bytes.fromhex("0000000804d2162f"), client_hears=b"S"),
    ("cifs", False): Life(b"", b"\x81\0\0\0", client_hears=b"\x83\0\0\x01\x8e"),
    ("smtp", True): Life(b"220 mail\r\n", b"", target_hears=b"EHLO localhost\r\n"),
    ("imap", True): Life(b"* OK mail\r\n", b"", target_hears=b"GT1 STARTTLS\r\n"),
    ("pop3", True): Life(b"+OK mail\r\n", b"", target_hears=b"STLS\r\n"),
    ("nntp", True): Life(b"200 news\r\n", b"", target_hears=b"STARTTLS\r\n"),
    ("ldap", True): Life(b"", b"", target_hears=bytes.fromhex("301d0201017718")),
    ("pgsql", True): Life(b"", b"", target_hears=bytes.fromhex("0000000804d2162f")),
    ("cifs", True): Life(b"", b"", target_hears=b"\x81\0\0\0"),
    ("connect", True): Life(b"", b"", target_hears=b"CONNECT localhost:443 HTTP/1.1\r\n"),
}
# What a protocol's service has to say besides.
MORE = {("connect", True): "protocolHost = localhost:443\n"}


@dataclass(frozen=True)
class Case:
    """One side says something hostile, and then closes or is silent. `expected`, or what is on one side of a | in it,
    is in the line that tells of it."""

    protocol: str
    client_mode: bool
    hostile: str
    says: bytes
    expected: str
    closes: bool = False

    @property
    def name(self) -> str:
        """For pytest."""
        mode = "client" if self.client_mode else "server"
        end = "-closes" if self.closes else ""
        return f"{self.protocol}-{mode}-{self.hostile}-{self.says[:12]!r}x{len(self.says)}{end}"


GARBAGE = bytes(range(256)) * 100
NO_LINE = bytes(byte for byte in range(256) if byte != 10) * 100
LONG = b"A" * 20000
SILENCE = "TIMEOUTbusy exceeded"
# In order, or by a reset where something was not read.
GONE = "Unexpected socket close|Connection reset by peer"


def _cases() -> Iterator[Case]:
    for (protocol, client_mode), life in LIVES.items():
        # Who is silent, leaves at once or in the middle of a message. A client of a client need not say anything.
        sides = ["target"] if client_mode else ["client"]
        if life.greeting:
            sides.append("target")
        for side in dict.fromkeys(sides):
            said = life.greeting if side == "target" else life.asks
            middle = said[: len(said) // 2]
            yield Case(protocol, client_mode, side, middle, SILENCE)
            yield Case(protocol, client_mode, side, b"", GONE, closes=True)
            if middle:
                yield Case(protocol, client_mode, side, middle, GONE, closes=True)
        if life.greeting:
            for side in dict.fromkeys(sides):
                yield Case(protocol, client_mode, side, LONG, "Line too long: more than 8192 bytes")
                yield Case(protocol, client_mode, side, NO_LINE, "Line too long: more than 8192 bytes")
            for banner in (b"SSH-2.0-x\r\n", b"\x00\xff\r\n", b"\r\n", b"HTTP/1.1 400 Bad\r\n"):
                yield Case(protocol, client_mode, "target", banner, f"{protocol}: it does not greet: the server said '")


CASES = [
    *_cases(),
    Case("smtp", False, "client", b"NOOP\r\n" * 200, "smtp: 100 commands of the client, and none is for TLS"),
    Case("smtp", False, "client", b"MAIL FROM:<a@b>\r\nDATA\r\n", GONE, closes=True),
    Case("smtp", False, "client", GARBAGE[:2560], GONE, closes=True),
    Case("smtp", False, "target", b"220-more\r\n" * 200, "a reply of more than 100 lines"),
    Case("smtp", False, "target", b"220-mail\r\n221 end\r\n", "the server said '221 end'"),
    Case("smtp", False, "target", b"554 no\r\n", "smtp: it does not greet: the server said '554 no'"),
    Case("imap", False, "client", b"a LOGIN u p\r\n" * 200, "imap: 100 commands of the client"),
    Case("imap", False, "client", b"a LOGIN {9999999999+}\r\n", GONE, closes=True),
    Case("imap", False, "target", b"* PREAUTH in\r\n", "imap: it does not greet: the server said '* PREAUTH in'"),
    Case("pop3", False, "client", b"USER me\r\n" * 200, "pop3: 100 commands of the client"),
    Case("pgsql", False, "client", GARBAGE, "pgsql: the client did not request TLS, but sent 00 01 02 03"),
    Case("pgsql", False, "client", b"\0\0\0\x08\x04\xd2\x16\x30" * 50, "asks for GSSAPI 3 times"),
    Case("cifs", False, "client", GARBAGE, "cifs: the client asks for no session: it said 00 01 02 03"),
    Case("cifs", False, "client", b"\x81\0\xff\xff", "cifs: the client's request of 65535 bytes is too long"),
    *(
        Case(protocol, False, "client", asks, expected, closes=closes)
        for protocol, asks in (
            ("smtp", b"STARTTLS\r\n"),
            ("imap", b"a STARTTLS\r\n"),
            ("pop3", b"STLS\r\n"),
            ("pgsql", bytes.fromhex("0000000804d2162f")),
            ("cifs", b"\x81\0\0\0"),
        )
        for expected, closes in (("left without a word", True), (f"ssl_start: s_poll_wait: {SILENCE}", False))
    ),
    *(
        Case(protocol, True, "target", answers, expected, closes=closes)
        for protocol, answers in (
            ("smtp", b"220 a\r\n250 b\r\n220 c\r\n"),
            ("imap", b"* OK a\r\nGT1 OK\r\n"),
            ("pop3", b"+OK a\r\n+OK\r\n"),
            ("nntp", b"200 a\r\n382 b\r\n"),
            ("ldap", bytes.fromhex("300c02010178070a010004000400")),
            ("pgsql", b"S"),
            ("cifs", b"\x83\0\0\x01\x8e"),
        )
        for expected, closes in (
            ("server closed the connection during the handshake|Connection reset by peer|Broken pipe", True),
            (f"ssl_start: s_poll_wait: {SILENCE}", False),
        )
    ),
    Case("smtp", True, "target", b"220 a\r\n502 no\r\n", "smtp: it refused EHLO: the server said '502 no'"),
    Case("smtp", True, "target", b"220 a\r\n" + b"250-x\r\n" * 200, "a reply of more than 100 lines"),
    Case("smtp", True, "target", b"220 a\r\n250 b\r\n" + LONG, "Line too long"),
    Case("smtp", True, "target", b"220 a\r\n250 b\r\n220 c\r\n" + GARBAGE, "Plaintext came where TLS should begin"),
    Case("imap", True, "target", b"* OK a\r\n* 1 EXISTS\r\n", "it refused STARTTLS: the server said '* 1 EXISTS'"),
    Case("imap", True, "target", b"* OK a\r\n* " * 500, "imap: it refused STARTTLS"),
    Case("pop3", True, "target", b"+OK a\r\n-ERR\r\n", "pop3: it refused STLS: the server said '-ERR'"),
    Case("nntp", True, "target", b"200 a\r\n580 no\r\n", "nntp: it refused STARTTLS: the server said '580 no'"),
    Case("ldap", True, "target", GARBAGE, "ldap: the server's answer to StartTLS makes no sense: it begins with 00"),
    Case("ldap", True, "target", b"\x30\x84\xff\xff\xff\xff", "makes no sense: a length of 4294967295"),
    Case("ldap", True, "target", b"\x30\x05" + GARBAGE, "ldap: the server's answer to StartTLS makes no sense"),
    Case("pgsql", True, "target", GARBAGE, "pgsql: PostgreSQL server rejected TLS: it said 00"),
    Case("pgsql", True, "target", b"S" + GARBAGE, "Plaintext came where TLS should begin"),
    Case("connect", True, "target", GARBAGE, "connect: the proxy does not speak HTTP: "),
    Case("connect", True, "target", b"HTTP/2 200\r\n", "connect: the proxy does not speak HTTP: 'HTTP/2 200'"),
    Case("connect", True, "target", b"HTTP/1.1 200 " + LONG, "Line too long: more than 16384 bytes"),
    Case("connect", True, "target", b"HTTP/1.1 200 ok\r\n" + b"a: b\r\n" * 200, "more than 100 headers"),
    Case("connect", True, "target", b"HTTP/1.1 407 x\r\n\r\n", "connect: the proxy said 'HTTP/1.1 407 x'"),
    Case("connect", True, "target", b"HTTP/1.1 200 ok\r\n\r\n" + GARBAGE, "Plaintext came where TLS should begin"),
    Case("connect", True, "target", b"HTTP/1.1 200 ok\r\nVia: x", SILENCE),
    Case("connect", True, "target", b"HTTP/1.1 200 ok\r\nVia: x", GONE, closes=True),
    Case("cifs", True, "target", GARBAGE, "cifs: the server does not ask for TLS: it said 00 01 02 03 04"),
]


@dataclass
class Stage:
    """A tunnel with a service for each protocol and mode, and a target that says what it is told to."""

    tunnel: Daemon
    # By protocol, whether in client mode, and whether it waits long.
    ports: dict[tuple[str, bool, bool], int]
    says: bytes = b""
    closes: bool = False
    until: bytes = b""
    heard: bytearray = field(default_factory=bytearray)
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self, connection: socket.socket) -> None:
        """Be the target of one connection."""
        with contextlib.suppress(OSError):
            connection.sendall(self.says)
            if not self.closes:
                while data := connection.recv(65536):
                    self.heard.extend(data)
                    if self.until and self.heard.startswith(self.until):
                        break
        self.ended.set()

    def play(self, key: tuple[str, bool, bool], client: bytes, target: bytes, closes: str = "") -> bytes:
        """One connection: what each side says, and which one closes then. Gives what the client hears up to the end."""
        self.says, self.closes = target, closes == "target"
        self.heard.clear()
        self.ended.clear()
        heard = b""
        address = ("127.0.0.1", self.ports[key])
        # A reset may come at any time, even while we connect.
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=PATIENCE) as connection:
            connection.sendall(client)
            if closes == "client":
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(65536):
                heard += data
        return heard


@pytest.fixture(scope="module")
def stage(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One tunnel for all cases: they must not harm each other either."""
    directory: Path = tmp_path_factory.mktemp("hostile")
    tunnels = Tunnels("gtunnel", directory)
    ports = {(*key, patient): free_port() for key in LIVES for patient in (True, False)}
    stages: list[Stage] = []

    def serve(connection: socket.socket) -> None:
        stages[0].serve(connection)

    with Server(serve) as target:
        conf = ""
        for (protocol, client_mode, patient), port in ports.items():
            conf += (
                f"[{protocol}-{port}]\nTIMEOUTbusy = {60 if patient else 1}\naccept = 127.0.0.1:{port}\n"
                f"connect = {target.endpoint}\nprotocol = {protocol}\n"
            )
            conf += MORE.get((protocol, client_mode), "")
            conf += "client = yes\n" if client_mode else f"cert = {pki.server.pem}\n"
        stages.append(Stage(tunnels(conf), ports))
        yield stages[0]
        output = stages[0].tunnel.output
        tunnels.close()
        assert not target.errors
    assert "INTERNAL ERROR" not in output


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_who_does_not_speak_the_protocol_is_told_of_and_the_next_is_served(stage: Stage, case: Case) -> None:
    life = LIVES[case.protocol, case.client_mode]
    key = (case.protocol, case.client_mode, SILENCE not in case.expected)
    expected = case.expected.split("|")
    before = len(stage.tunnel.output)
    client = case.says if case.hostile == "client" else b""
    target = case.says if case.hostile == "target" else life.greeting
    stage.play(key, client, target, case.hostile if case.closes else "")
    lines = _wait_for_end(stage.tunnel, before)
    told = [line for line in lines if re.search(r" LOG[0-6]\[", line) and any(x in line for x in expected)]
    assert len(told) == 1, lines
    assert [line for line in lines if re.search(r" LOG[0-4]\[", line)] in ([], told)
    if not stage.heard and life.greeting and not case.closes:
        assert stage.ended.wait(PATIENCE), "the target was not closed"
    _is_alive(stage, key, life)


def _wait_for_end(tunnel: Daemon, before: int) -> list[str]:
    """The lines of the one connection that came after `before`."""
    done = threading.Event()
    for _ in range(int(PATIENCE / 0.02)):
        lines = tunnel.output[before:].splitlines()
        if any(re.search(r"Service \[\S+\] finished", line) for line in lines):
            return lines
        done.wait(0.02)
    raise AssertionError(f"the connection did not end:\n{tunnel.output[before:]}")


def _is_alive(stage: Stage, key: tuple[str, bool, bool], life: Life) -> None:
    """An ordinary peer is understood, up to where TLS would start; then it leaves."""
    before = len(stage.tunnel.output)
    stage.until = life.target_hears
    heard = stage.play(key, life.asks, life.greeting, "client")
    stage.until = b""
    lines = _wait_for_end(stage.tunnel, before)
    assert heard.startswith(life.client_hears), lines
    if life.target_hears:
        assert bytes(stage.heard).startswith(life.target_hears), lines
