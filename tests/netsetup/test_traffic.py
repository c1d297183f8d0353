"""Every mode with real packets: what client, proxy and server see, and data both ways."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from netsetup import api
from netsetup.model import Backend, Capture, Interception, Listener, Method, Request, Target
from tests.netsetup.matrix import record, shown
from tests.netsetup.traffic import Stopping, proxy, say
from tests.netsetup.world import ANY, CLIENT, EGRESS, INGRESS, LOOPBACK, SERVER, World

pytestmark = pytest.mark.root

PORT = 9443
SERVER_PORT = 80
OUTSIDE, LOCAL = "outside", "local"
REMOTE, OWN, LO = "remote", "own", "loopback"
ADDRESSES = {REMOTE: SERVER, OWN: EGRESS, LO: LOOPBACK}
WHERE = {REMOTE: "elsewhere", OWN: "on the gateway's own address", LO: "on the gateway's loopback"}
LISTENERS = {"lo": LOOPBACK, "any": ANY, "ingress": INGRESS}


@dataclass(frozen=True)
class Case:
    """A mode, where the traffic comes from, where the server is, where the proxy listens."""

    method: Method
    origin: str
    server: str
    listener: str
    source: bool

    def __str__(self) -> str:
        mode = "both" if self.source else "destination"
        return f"{mode}-{self.method.value}-{self.origin}-{self.server}-{self.listener}"


CASES = [
    Case(method, origin, server, listener, source)
    for source in (False, True)
    for method, origin, listeners in (
        (Method.TPROXY, OUTSIDE, ("lo", "any", "ingress")),
        (Method.REDIRECT, OUTSIDE, ("any", "ingress")),
        (Method.TPROXY, LOCAL, ("lo", "any")),
        (Method.REDIRECT, LOCAL, ("any", "ingress")),
        (Method.AUTO, OUTSIDE, ("lo",)),
        (Method.AUTO, LOCAL, ("lo",)),
    )
    for listener in listeners
    for server in ((REMOTE, OWN) if origin is OUTSIDE else (REMOTE, OWN, LO))
]


@pytest.fixture(params=[Backend.NFTABLES, Backend.IPTABLES], ids=lambda backend: str(backend.value))
def backend(request: pytest.FixtureRequest) -> Backend:
    """Everything here is seen with both."""
    wanted: Backend = request.param
    return wanted


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.fixture(scope="module")
def servers(world: World) -> Iterator[None]:
    """One that everybody reaches on the server, and one on the gateway, on all of its addresses."""
    with ExitStack() as stack:
        for host in (world.server, world.gateway):
            stack.enter_context(Stopping(world.start(host, "server", str(SERVER_PORT), *ANY.values())))
        yield


def _listeners(where: str) -> tuple[Listener, ...]:
    return tuple(Listener(host=host, port=PORT) for host in LISTENERS[where].values())


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("servers")
def test_captured_traffic_goes_through_the_proxy_to_where_it_was_meant(
    world: World, backend: Backend, case: Case, tmp_path: Path
) -> None:
    capture = Capture(ports=((SERVER_PORT, SERVER_PORT),), local=case.origin is LOCAL, method=case.method)
    service = Interception(name="web", listeners=_listeners(case.listener), source=case.source, capture=capture)
    request = Request(interceptions=(service,), backend=backend)
    _exchange(world, request, case, tmp_path)


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("source", [False, True], ids=["destination", "both"])
def test_redirect_to_a_listener_on_ipv4_loopback_switches_route_localnet_on(
    world: World, backend: Backend, source: bool, tmp_path: Path
) -> None:
    capture = Capture(ports=((SERVER_PORT, SERVER_PORT),), interfaces=("eth1",), method=Method.REDIRECT)
    listeners = (Listener(host="127.0.0.1", port=PORT),)
    service = Interception(name="web", listeners=listeners, source=source, capture=capture)
    case = Case(Method.REDIRECT, OUTSIDE, REMOTE, "lo", source)
    _exchange(world, Request(interceptions=(service,), backend=backend), case, tmp_path, families=(4,))


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("method", [Method.TPROXY, Method.REDIRECT], ids=lambda method: str(method.value))
@pytest.mark.parametrize("origin", [OUTSIDE, LOCAL])
def test_a_dual_stack_listener_takes_ipv4_as_well(
    world: World, backend: Backend, method: Method, origin: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(os.environ, "STANDIN", "dual")
    capture = Capture(ports=((SERVER_PORT, SERVER_PORT),), local=origin is LOCAL, method=method)
    service = Interception(name="web", listeners=(Listener(host="::", port=PORT),), source=True, capture=capture)
    _exchange(
        world, Request(interceptions=(service,), backend=backend), Case(method, origin, REMOTE, "any", True), tmp_path
    )


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("sysctl", ["src_valid_mark=1", "rp_filter=1"])
@pytest.mark.parametrize("where", [REMOTE, OWN])
def test_strict_reverse_path_checks_do_not_break_it(
    world: World, backend: Backend, sysctl: str, where: str, tmp_path: Path
) -> None:
    name, value = sysctl.split("=")
    names = [f"net.ipv4.conf.{interface}.{name}" for interface in ("all", "eth1", "eth2", "lo")]
    world.run(world.gateway, "sysctl -qw net.ipv4.conf.all.rp_filter=1")
    for one in names:
        world.run(world.gateway, f"sysctl -qw {one}={value}")
    try:
        for origin in (OUTSIDE, LOCAL):
            capture = Capture(ports=((SERVER_PORT, SERVER_PORT),), local=origin is LOCAL, method=Method.TPROXY)
            service = Interception(name="web", listeners=_listeners("lo"), source=True, capture=capture)
            case = Case(Method.TPROXY, origin, where, "lo", source=True)
            _exchange(world, Request(interceptions=(service,), backend=backend), case, tmp_path)
    finally:
        for one in names:
            world.run(world.gateway, f"sysctl -qw {one}=0")
        world.run(world.gateway, "sysctl -qw net.ipv4.conf.all.rp_filter=0")


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize(
    ("narrowing", "captured"),
    [
        ({}, True),
        ({"exclude": (f"{SERVER[4]}/32", f"{SERVER[6]}/128")}, False),
        ({"exclude": ("192.0.2.0/24", "2001:db8:1::/64")}, True),
        ({"exclude": ("203.0.113.0/24",)}, True),
        ({"to_networks": ("198.51.100.0/24", "2001:db8:2::/64", "203.0.113.0/24")}, True),
        ({"to_networks": ("203.0.113.0/24", "2001:db8:900::/48")}, False),
        ({"from_networks": ("192.0.2.2/32", "2001:db8:1::2/128")}, True),
        ({"from_networks": ("192.0.2.3/32", "2001:db8:1::3/128")}, False),
        ({"interfaces": ("eth9", "eth1")}, True),
        ({"interfaces": ("eth2",)}, False),
        ({"ports": ((1, 79), (81, 65535))}, False),
        ({"ports": ((443, 443), (1, 100))}, True),
    ],
    ids=str,
)
def test_only_the_traffic_that_was_named_is_captured(
    world: World, backend: Backend, narrowing: dict[str, Any], captured: bool, tmp_path: Path
) -> None:
    capture = replace(Capture(ports=((SERVER_PORT, SERVER_PORT),)), **narrowing)
    service = Interception(name="web", listeners=_listeners("lo"), source=False, capture=capture)
    request = Request(interceptions=(service,), backend=backend)
    api.apply(request, world.gateway, directory=tmp_path)
    try:
        with proxy(world, request):
            for family in (4, 6):
                seen = world.ask(world.client, SERVER[family], SERVER_PORT, 1000)
                assert seen.get("whole") is True, f"IPv{family}: {seen}"
                assert (seen["server"]["peer"] != seen["local"]) is captured
    finally:
        api.destroy("gtunnel", world.gateway, directory=tmp_path)


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("method", [Method.TPROXY, Method.REDIRECT], ids=lambda method: str(method.value))
@pytest.mark.parametrize("host", ["client", "gateway"])
@pytest.mark.parametrize("family", [4, 6])
def test_connections_that_exist_already_survive_apply_and_destroy(
    world: World, backend: Backend, method: Method, host: str, family: int, tmp_path: Path
) -> None:
    capture = Capture(ports=((1, 65535),), local=True, method=method)
    service = Interception(name="all", listeners=_listeners("any"), source=True, capture=capture)
    request = Request(interceptions=(service,), backend=backend)
    talk = [str(SERVER_PORT), SERVER[family]]
    with Stopping(world.start(getattr(world, host), "talk", *talk)) as conversation:
        say(conversation)
        api.apply(request, world.gateway, directory=tmp_path)
        try:
            say(conversation)
        finally:
            api.destroy("gtunnel", world.gateway, directory=tmp_path)
        say(conversation)


def _exchange(world: World, request: Request, case: Case, directory: Path, families: tuple[int, ...] = (4, 6)) -> None:
    host, clients = (world.gateway, None) if case.origin is LOCAL else (world.client, CLIENT)
    before = world.snapshot()
    api.apply(request, world.gateway, directory=directory)
    try:
        with proxy(world, request) as running:
            for family in families:
                wanted = ADDRESSES[case.server][family]
                seen = world.ask(host, wanted, SERVER_PORT)
                assert seen.get("whole") is True, f"IPv{family}: {seen}"
                assert running.stdout is not None
                by_proxy = json.loads(running.stdout.readline())
                assert by_proxy == {"peer": seen["local"], "origin": [wanted, SERVER_PORT]}
                assert seen["peer"] == [wanted, SERVER_PORT]
                assert seen["server"]["local"] == [wanted, SERVER_PORT]
                client = seen["local"][0] if clients is None else clients[family]
                assert seen["local"][0] == client
                assert seen["server"]["peer"] != seen["local"], f"IPv{family}: it did not go through the proxy"
                if case.source:
                    assert seen["server"]["peer"][0] == client
                elif clients is not None:
                    assert seen["server"]["peer"][0] == EGRESS[family]
                _record(request, case, family, seen, by_proxy["origin"])
    finally:
        api.destroy("gtunnel", world.gateway, directory=directory)
    assert world.snapshot() == before


def _record(request: Request, case: Case, family: int, seen: dict[str, Any], origin: list[Any]) -> None:
    row = {
        "mode": "both" if case.source else "destination",
        "method": case.method.value,
        "ip": str(family),
        "traffic": "forwarded" if case.origin is OUTSIDE else "the gateway's own",
        "server": WHERE[case.server],
        "listener": LISTENERS[case.listener][family],
        "asked": shown(seen["peer"], SERVER_PORT),
        "origin": f"{shown(seen['local'])} -> {shown(origin, SERVER_PORT)}",
        "seen": f"{shown(seen['server']['peer'])} -> {shown(seen['server']['local'], SERVER_PORT)}",
    }
    record(row, request.backend.value)


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("where", [REMOTE, OWN, LO])
@pytest.mark.parametrize("listener", ["any", "ingress"])
def test_a_server_sees_the_address_of_the_client_who_came_to_the_proxy_itself(
    world: World, backend: Backend, where: str, listener: str, tmp_path: Path
) -> None:
    targets = tuple(Target(host=host, port=SERVER_PORT) for host in ADDRESSES[where].values())
    service = Interception(name="https", listeners=_listeners(listener), source=True, targets=targets)
    request = Request(interceptions=(service,), backend=backend)
    before = world.snapshot()
    api.apply(request, world.gateway, directory=tmp_path)
    try:
        with proxy(world, request, [[target.host, target.port] for target in targets]):
            for family in (4, 6):
                seen = world.ask(world.client, INGRESS[family], PORT)
                assert seen.get("whole") is True, f"IPv{family}: {seen}"
                assert seen["server"]["peer"][0] == CLIENT[family]
                row = {
                    "mode": "source",
                    "method": "-",
                    "ip": str(family),
                    "traffic": "to gtunnel itself",
                    "server": WHERE[where],
                    "listener": LISTENERS[listener][family],
                    "asked": shown(seen["peer"], PORT),
                    "origin": f"{shown(seen['local'])} -> {shown(seen['peer'], PORT)}",
                    "seen": f"{shown(seen['server']['peer'])} -> {shown(seen['server']['local'], SERVER_PORT)}",
                }
                record(row, backend.value)
                # Who goes to the server directly is answered directly, whatever is done for the proxy.
                if where is not LO:
                    direct = world.ask(world.client, ADDRESSES[where][family], SERVER_PORT)
                    assert direct.get("whole") is True, f"IPv{family}, directly: {direct}"
                    assert direct["server"]["peer"] == direct["local"]
                inside = world.ask(world.gateway, ADDRESSES[where][family], SERVER_PORT)
                assert inside.get("whole") is True, f"IPv{family}, on the gateway: {inside}"
    finally:
        api.destroy("gtunnel", world.gateway, directory=tmp_path)
    assert world.snapshot() == before
