"""The probe with real packets: how far a connection comes on gateways that work, and on some that do not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netsetup import api
from netsetup.doctor.packet import Truth
from netsetup.doctor.probe import probing
from netsetup.doctor.probe.attempts import Attempt, Wish
from netsetup.doctor.probe.hops import Probed, Probes
from netsetup.errors import ProbeError
from netsetup.model import Backend, Interception, Method, Request, Target
from tests.netsetup.doctor.cases import facts
from tests.netsetup.doctor.gateway import KEEP, applied, capturing, listeners, proxy, stopping
from tests.netsetup.world import ANY, CLIENT, INGRESS, ROOT, SERVER, World

pytestmark = pytest.mark.root

WHOLE = ["sent", "captured", "accepted", "connected", "answered", "returned"]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger")


def state(world: World) -> dict[str, str]:
    """All that a probe could leave behind."""
    more = {name: world.run(world.gateway, f"ip {name} show") for name in ("link", "address")}
    return {**world.snapshot(), **more, "qdisc": world.run(world.gateway, "tc qdisc show")}


def reached(one: Probed) -> dict[str, Truth]:
    return {hop.name: hop.state for hop in one.hops}


def last(one: Probed) -> tuple[str, Truth, str]:
    hop = one.hops[-1]
    return hop.name, hop.state, hop.text


@pytest.mark.parametrize(
    ("method", "source", "backend"),
    [(Method.TPROXY, True, Backend.NFTABLES), (Method.REDIRECT, False, Backend.IPTABLES)],
)
def test_the_whole_way(world: World, directory: Path, method: Method, source: bool, backend: Backend) -> None:
    """The first one behind a strict reverse path filter: the probe's client is not where its route leads to."""
    request = capturing(method, source=source, backend=backend)
    world.run(world.gateway, f"sysctl -qw net.ipv4.conf.eth1.rp_filter={source:d}")
    with applied(world, request, directory), proxy(world, request):
        before = state(world)
        probes = api.probe(request, Wish(), world.gateway)
        assert state(world) == before
    assert not probes.failed
    four, six = probes.probed
    for one in (four, six):
        assert reached(one) == dict.fromkeys(WHOLE, Truth.YES), "\n".join(one.lines())
    connected = four.hops[3].text
    assert connected.startswith("from 198.1" if source else f"from {INGRESS[4]}")
    assert four.title.endswith("as if from eth1")


def test_where_it_gets_stuck(world: World, directory: Path) -> None:
    request = capturing(Method.TPROXY)

    def probe(source: str) -> tuple[str, Truth, str]:
        (found,) = api.probe(request, Wish(source=source), world.gateway).probed
        return last(found)

    name, truth, text = probe("198.18.0.77")
    assert (name, truth) == ("captured", Truth.NO)
    assert text.startswith("it went past the proxy, straight to ")
    with applied(world, request, directory):
        name, truth, text = probe("2001:2::77")
        assert (name, truth) == ("captured", Truth.NO)
        assert "rules of ours dropped packets meanwhile" in text
        with proxy(world, request):
            world.run(world.gateway, "iptables-legacy -P INPUT DROP")
            try:
                name, truth, text = probe("198.18.0.77")
            finally:
                world.run(world.gateway, "iptables-legacy -P INPUT ACCEPT")
            assert (name, truth) == ("captured", Truth.NO)
            assert "our rules took packets meanwhile: what comes behind them drops it" in text
            rule = "OUTPUT -p tcp -m mark --mark 0x2/0xff -j DROP"
            world.run(world.gateway, f"ip6tables-legacy -I {rule}")
            try:
                assert probe("2001:2::77")[:2] == ("answered", Truth.NO)
            finally:
                world.run(world.gateway, f"ip6tables-legacy -D {rule}")


def test_to_a_real_server_and_back(world: World, directory: Path) -> None:
    request = capturing(Method.TPROXY)
    wish = Wish(source="192.0.2.77", destination=SERVER[4], port=80)
    with (
        stopping(world.start(world.server, "server", "80", *ANY.values())),
        applied(world, request, directory),
        proxy(world, request),
    ):
        (one,) = api.probe(request, wish, world.gateway).probed
        assert reached(one) == dict.fromkeys(WHOLE, Truth.YES), "\n".join(one.lines())
        assert one.hops[3].text.startswith("from 192.0.2.77:")

        world.run(world.server, "ip route del default")
        try:
            (one,) = api.probe(request, wish, world.gateway).probed
        finally:
            world.run(world.server, "ip route add default via 198.51.100.1")
        assert last(one)[:2] == ("answered", Truth.NO)
        assert "do not come through this machine" in last(one)[2]

        taken = replace(wish, source=CLIENT[4])
        (one,) = api.probe(request, taken, world.gateway).probed
        assert last(one) == (
            "sent",
            Truth.UNKNOWN,
            f"not tried: a machine has the address {CLIENT[4]}: `--from` another one",
        )


def test_a_service_that_keeps_the_client_s_address(world: World, directory: Path) -> None:
    target = Target(host=SERVER[4], port=80)
    service = Interception(name="keep", listeners=listeners(KEEP, ANY), source=True, targets=(target,))
    request = Request(interceptions=(service,))
    settings = {
        "listeners": [[one.host, one.port] for one in service.listeners],
        "source": True,
        "mark": request.marks.own,
        "target": [[target.host, target.port]],
    }
    with (
        stopping(world.start(world.server, "server", "80", *ANY.values())),
        applied(world, request, directory),
        stopping(world.start(world.gateway, "proxy", json.dumps(settings))),
    ):
        (one,) = api.probe(request, Wish(source="192.0.2.77"), world.gateway).probed
    assert reached(one) == dict.fromkeys(WHOLE, Truth.YES), "\n".join(one.lines())
    assert one.hops[3].text.startswith("from 192.0.2.77:")


def test_killed_in_the_middle_it_leaves_nothing(world: World, directory: Path) -> None:
    """Nobody answers, so it waits; its parent is killed, which cannot clean up anything."""
    request = capturing(Method.TPROXY)
    code = (
        "from netsetup.doctor.probe import probing\n"
        "from netsetup.doctor.probe.attempts import Wish\nfrom netsetup.model import Method\n"
        "from tests.netsetup.doctor.gateway import capturing\n"
        "probing.probe(capturing(Method.TPROXY), Wish())\n"
    )
    with applied(world, request, directory):
        before = state(world)
        argv = ["ip", "netns", "exec", world.gateway, sys.executable, "-c", code]
        with subprocess.Popen(argv, cwd=ROOT) as parent:
            _until(lambda: "gtps" in world.run(world.gateway, "ip link show"))
            os.kill(parent.pid, signal.SIGKILL)
        _until(lambda: "gtp" not in world.run(world.gateway, "ip link show"))
        assert state(world) == before


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_nothing_to_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "outline", facts)
    with pytest.raises(ProbeError, match="nothing to probe"):
        probing.probe(capturing(Method.TPROXY), Wish(service="other"))


def test_a_probe_that_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Told as not known: it says nothing about the gateway."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    attempt = Attempt(
        title="x",
        family=4,
        iif="eth1",
        source="198.18.0.1",
        destination="198.18.0.2",
        port=80,
        own_server=True,
        keeps_source=False,
    )
    (hop,) = probing._hops(attempt)
    assert (hop.state, hop.text) == (
        Truth.UNKNOWN,
        "not tried: the probe's process ended with status 1: it said nothing",
    )
    assert not Probes.of([Probed(title="x", hops=(hop,))]).failed
