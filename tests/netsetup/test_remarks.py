"""What plan says about a bridge. Absent interfaces: test_api."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netsetup import api
from netsetup.model import Capture, Interception, Listener, Method, Request
from tests.netsetup.world import World

pytestmark = pytest.mark.root

LISTENERS = (Listener(host="0.0.0.0", port=1), Listener(host="::", port=1))
ANYWHERE = Capture(ports=((80, 80),))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        built.run(built.gateway, "ip link add br0 type bridge")
        yield built


@pytest.mark.parametrize(
    ("seen", "capture", "settings"),
    [
        ((1, 1), ANYWHERE, "net.bridge.bridge-nf-call-iptables = 1, net.bridge.bridge-nf-call-ip6tables = 1"),
        ((0, 1), replace(ANYWHERE, interfaces=("eth1", "br0")), "net.bridge.bridge-nf-call-ip6tables = 1"),
        ((0, 0), ANYWHERE, None),
        ((1, 1), replace(ANYWHERE, interfaces=("eth1",)), None),
        ((1, 1), replace(ANYWHERE, method=Method.REDIRECT), None),
    ],
)
def test_tproxy_at_a_bridge_that_netfilter_sees(
    world: World, tmp_path: Path, seen: tuple[int, int], capture: Capture, settings: str | None
) -> None:
    for name, value in zip(("iptables", "ip6tables"), seen, strict=True):
        world.run(world.gateway, f"sysctl -qw net.bridge.bridge-nf-call-{name}={value}")
    service = Interception(name="web", listeners=LISTENERS, source=False, capture=capture)
    plan = api.plan(Request(interceptions=(service,)), world.gateway, directory=tmp_path)
    told = [warning for warning in plan.warnings if "bridge" in warning]
    assert len(told) == (settings is not None)
    if settings is not None:
        assert told[0].startswith("[web]: TPROXY takes nothing that comes in by the bridge br0, ")
        assert f"({settings}, which Docker sets); use captureMethod = redirect" in told[0]
