"""`renegotiation`, asked for by openssl s_client: gtunnel does what stunnel4 does."""

import contextlib
import select
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.support import needs
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.servers import Server
from tests.support.tunnels import Tunnels

ALLOWED = "options = ALLOW_CLIENT_RENEGOTIATION\n"
FORBIDDEN = "renegotiation = no\n"


class Client:
    """openssl s_client, which takes a line `R` for a request to renegotiate."""

    def __init__(self, port: int) -> None:
        argv = [needs.program("openssl"), "s_client", "-quiet", "-no_ign_eof", "-connect", f"127.0.0.1:{port}"]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0
        )
        self._shown = b""

    def renegotiate(self) -> None:
        """Ask for it. What is typed at once afterwards would be lost with the R."""
        self._type("R")
        assert self._shows("RENEGOTIATING")

    def answers(self, line: str) -> bool:
        """Whether the line comes back from the echo server; otherwise the connection has ended."""
        self._type(line)
        return self._shows(line)

    def _type(self, line: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{line}\n".encode())

    def _shows(self, line: str) -> bool:
        assert self.process.stdout is not None
        wanted = f"{line}\n".encode()
        while wanted not in self._shown:
            readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
            assert readable, f"neither an answer nor an end: {self._shown!r}"
            data = self.process.stdout.read(65536)
            if not data:
                return False
            self._shown += data
        self._shown = self._shown.partition(wanted)[2]
        return True


@pytest.fixture
def connected(
    tunnel: Tunnels, pki: Pki, echo: Server, free_port: Callable[[], int]
) -> Iterator[Callable[[str], Client]]:
    """`connected(lines)`: a client of an echo server behind a tunnel with these lines, in TLS 1.2."""
    with contextlib.ExitStack() as stack:

        def connect(lines: str) -> Client:
            port = free_port()
            tunnel(
                f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {pki.server.cert}\n"
                f"key = {pki.server.key}\nsslVersionMax = TLSv1.2\n{lines}"
            )
            client = Client(port)
            stack.enter_context(client.process)
            stack.callback(client.process.kill)
            return client

        yield connect


def test_a_client_renegotiates_where_it_is_allowed(connected: Callable[[str], Client]) -> None:
    client = connected(ALLOWED)
    for line in ("one", "two", "three"):
        assert client.answers(line)
        client.renegotiate()
    assert client.answers("four")


@pytest.mark.parametrize("lines", ["", "renegotiation = yes\n", FORBIDDEN, ALLOWED + FORBIDDEN])
def test_a_client_does_not_renegotiate_otherwise(connected: Callable[[str], Client], lines: str) -> None:
    client = connected(lines)
    assert client.answers("one")
    client.renegotiate()
    assert not client.answers("two")


def test_what_is_forbidden_is_said_in_the_log(
    gtunnel: Tunnels, pki: Pki, echo: Server, free_port: Callable[[], int]
) -> None:
    port = free_port()
    running = gtunnel(
        f"[it]\naccept = 127.0.0.1:{port}\nconnect = {echo.endpoint}\ncert = {pki.server.cert}\n"
        f"key = {pki.server.key}\nsslVersionMax = TLSv1.2\n{ALLOWED}{FORBIDDEN}"
    )
    client = Client(port)
    with client.process:
        assert client.answers("one")
        client.renegotiate()
        running.wait_for("Aborting due to renegotiation request")
        client.process.kill()
