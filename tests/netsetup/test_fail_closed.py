"""While the proxy is down nothing that is captured gets past the gateway, or all of it does: as `fail_closed` says.

A leak is seen on the server: without `source`, nothing may come there from the client's own address.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pyroute2 import NFCTSocket

from netsetup import api
from netsetup.errors import ImpossibleError
from netsetup.model import Backend, Capture, Interception, Listener, Method, Request
from tests.netsetup.traffic import Stopping, proxy, say
from tests.netsetup.world import ANY, CLIENT, SERVER, World, inside

pytestmark = pytest.mark.root

PORT = 80
LEAKS = (
    "table inet seen {{ chain in {{ type filter hook input priority 0; {0} tcp dport 80 counter comment leak; }}; }}"
)
DEAF = "table inet deaf { chain in { type filter hook input priority 0; tcp flags & (rst|fin) != 0 drop; }; }"
LISTENERS = {Method.TPROXY: ("127.0.0.1", "::1"), Method.REDIRECT: ("0.0.0.0", "::")}

WAYS = pytest.mark.parametrize(
    ("backend", "method"),
    [(backend, method) for backend in (Backend.NFTABLES, Backend.IPTABLES) for method in LISTENERS],
    ids=lambda value: str(value.value),
)
FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built, Stopping(built.start(built.server, "server", str(PORT), *ANY.values())):
        yield built


@pytest.fixture
def setup(world: World, tmp_path: Path) -> Iterator["Setup"]:
    with ExitStack() as stack:
        yield Setup(world, tmp_path, stack)


class Setup:
    """What a test sets up on the three hosts; its end is in `stack`."""

    def __init__(self, world: World, directory: Path, stack: ExitStack) -> None:
        self.world, self.directory, self.stack = world, directory, stack

    def apply(self, backend: Backend, method: Method, *, closed: bool = True) -> Request:
        """netsetup on the gateway, for a service that captures port 80."""
        listeners = tuple(Listener(host=host, port=9443) for host in LISTENERS[method])
        capture = Capture(ports=((PORT, PORT),), interfaces=("eth1",), method=method, fail_closed=closed)
        service = Interception(name="web", listeners=listeners, source=False, capture=capture)
        request = Request(interceptions=(service,), backend=backend)
        self.stack.callback(api.destroy, "gtunnel", self.world.gateway, directory=self.directory)
        api.apply(request, self.world.gateway, directory=self.directory)
        return request

    def rule(self, host: str, table: str, text: str) -> None:
        """A table of nft's on a host."""
        file = self.directory / f"{table}.nft"
        file.write_text(text)
        self.stack.callback(self.world.run, host, f"nft delete table inet {table}")
        self.world.run(host, f"nft -f {file}")

    def leaks(self) -> int:
        """Packets that came to the server from the client itself, since `watch`."""
        (line,) = [line for line in self._seen().splitlines() if "leak" in line]
        return int(line.split(" packets ")[1].split()[0])

    def watch(self, family: int) -> None:
        """Count from here on."""
        source = f"{'ip' if family == 4 else 'ip6'} saddr {CLIENT[family]}"
        self.rule(self.world.server, "seen", LEAKS.format(source))

    def _seen(self) -> str:
        return self.world.run(self.world.server, "nft list table inet seen")


@FAMILIES
@WAYS
def test_without_a_proxy_nothing_arrives(setup: Setup, backend: Backend, method: Method, family: int) -> None:
    setup.watch(family)
    setup.apply(backend, method)
    seen = setup.world.ask(setup.world.client, SERVER[family], PORT, 10)
    assert "error" in seen
    assert setup.leaks() == 0


@FAMILIES
@WAYS
def test_what_was_captured_does_not_go_on_when_the_proxy_dies(
    setup: Setup, backend: Backend, method: Method, family: int
) -> None:
    """Also where the client does not hear of it, and sends its bytes again and again."""
    _die_unheard(setup, setup.apply(backend, method), family)


@FAMILIES
@WAYS
def test_what_was_captured_does_not_go_on_when_the_kernel_has_forgotten_it(
    setup: Setup, backend: Backend, method: Method, family: int
) -> None:
    """As after a reboot: no proxy, no socket and no connection is left, but the client goes on."""
    _die_unheard(setup, setup.apply(backend, method), family, lambda: inside(setup.world.gateway, _forget))


def _die_unheard(setup: Setup, request: Request, family: int, then: Callable[[], None] = lambda: None) -> None:
    """Kill the proxy under a client that does not hear of it, do `then`; nothing that the client sends may leak."""
    world = setup.world
    running = proxy(world, request)
    with running, Stopping(world.start(world.client, "talk", str(PORT), SERVER[family])) as conversation:
        say(conversation)
        setup.rule(world.client, "deaf", DEAF)
        setup.watch(family)
        running.stop()
        then()
        assert conversation.stdin is not None
        conversation.stdin.write("secret\n")
        conversation.stdin.flush()
        # Retransmissions come after 0.2, 0.6 and 1.4 seconds.
        time.sleep(2)
        assert setup.leaks() == 0


def _forget() -> None:
    with NFCTSocket() as connections:
        connections.flush()


@pytest.mark.parametrize("backend", [Backend.NFTABLES, Backend.IPTABLES], ids=lambda value: str(value.value))
def test_what_was_redirected_does_not_go_on_when_the_method_changes(
    setup: Setup, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody else translates addresses: then the kernel would stop doing it with our last such rule."""
    monkeypatch.setattr("tests.netsetup.world._FOREIGN", ())
    with (
        World() as world,
        Stopping(world.start(world.server, "server", str(PORT), *ANY.values())),
        ExitStack() as stack,
    ):
        own = Setup(world, setup.directory, stack)
        request = own.apply(backend, Method.REDIRECT)
        with proxy(world, request), Stopping(world.start(world.client, "talk", str(PORT), SERVER[4])) as conversation:
            say(conversation)
            own.watch(4)
            own.apply(backend, Method.TPROXY)
            assert conversation.stdin is not None
            conversation.stdin.write("secret\n")
            conversation.stdin.flush()
            time.sleep(1)
            assert own.leaks() == 0


@FAMILIES
def test_failing_open_they_go_where_they_were_meant(setup: Setup, family: int) -> None:
    setup.watch(family)
    request = setup.apply(Backend.NFTABLES, Method.TPROXY, closed=False)
    with proxy(setup.world, request):
        seen = setup.world.ask(setup.world.client, SERVER[family], PORT, 10)
        assert seen["whole"] is True
        assert seen["server"]["peer"] != seen["local"]
        assert setup.leaks() == 0
    seen = setup.world.ask(setup.world.client, SERVER[family], PORT, 10)
    assert seen["whole"] is True
    assert seen["server"]["peer"] == seen["local"]
    assert setup.leaks() > 0


@pytest.mark.parametrize("backend", [Backend.NFTABLES, Backend.IPTABLES], ids=lambda value: str(value.value))
def test_a_handshake_by_syn_cookies_is_completed(setup: Setup, backend: Backend) -> None:
    """No socket knows the last packet of such a handshake, but the listener does."""
    world = setup.world
    world.run(world.gateway, "sysctl -qw net.ipv4.tcp_syncookies=2")
    setup.stack.callback(world.run, world.gateway, "sysctl -qw net.ipv4.tcp_syncookies=1")
    request = setup.apply(backend, Method.TPROXY)
    with proxy(world, request):
        for family in (4, 6):
            seen = world.ask(world.client, SERVER[family], PORT, 100_000)
            assert seen.get("whole") is True, seen
            assert seen["server"]["peer"] != seen["local"]


def test_what_cannot_fail_open_is_refused(setup: Setup) -> None:
    with pytest.raises(ImpossibleError, match="captureFailClosed = no for traffic from outside by redirect"):
        setup.apply(Backend.NFTABLES, Method.REDIRECT, closed=False)
