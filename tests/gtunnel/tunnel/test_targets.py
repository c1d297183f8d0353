"""Which targets a connection tries, and in which order."""

import itertools

import pytest

from gtunnel.address import Endpoint, HostPort, SocketAddress, UnixPath
from gtunnel.conf.settings import ConnectSettings, Failover
from gtunnel.events import Level
from gtunnel.net.errors import ResolveError
from gtunnel.net.names import Address
from gtunnel.tunnel.targets import Targets
from tests.gtunnel.logs import ListLog

A, B, C = (HostPort(f"192.0.2.{n}", 80) for n in (1, 2, 3))


def targets(*endpoints: Endpoint, failover: Failover = Failover.PRIO, delay: bool = False) -> Targets:
    settings = ConnectSettings(targets=endpoints, failover=failover, delay=delay, local=None)
    return Targets(settings, itertools.count().__next__, ListLog())


def never(endpoint: Endpoint) -> tuple[Address, ...]:
    raise AssertionError(f"looked up {endpoint}")


def order(chosen: Targets) -> list[str]:
    return [str(target) for target in chosen.candidates(never, ListLog())]


def test_priority_is_the_order_written_each_time() -> None:
    chosen = targets(A, B, C)
    assert order(chosen) == order(chosen) == [str(A), str(B), str(C)]


def test_round_robin_begins_with_the_next_each_time_and_still_tries_all() -> None:
    chosen = targets(A, B, C, failover=Failover.RR)
    assert order(chosen) == [str(A), str(B), str(C)]
    assert order(chosen) == [str(B), str(C), str(A)]
    assert order(chosen) == [str(C), str(A), str(B)]
    assert order(chosen) == [str(A), str(B), str(C)]


def test_where_it_starts_is_logged_as_stunnel_does() -> None:
    log = ListLog()
    list(targets(A, B, failover=Failover.RR).candidates(never, log))
    list(targets(A, B).candidates(never, log))
    list(targets(A).candidates(never, log))
    assert log.texts == ["failover: round-robin, starting at entry #0", "failover: priority, starting at entry #0"]


def test_a_name_keeps_its_host_and_a_port_alone_has_none() -> None:
    found = list(targets(HostPort("localhost", 80), HostPort("", 81), UnixPath("/x")).candidates(never, ListLog()))
    hosts = {target.host for target in found}
    assert hosts == {"localhost", None}
    assert any(target.address == SocketAddress("127.0.0.1", 81) for target in found)


def test_a_name_that_is_unknown_at_first_is_looked_up_later() -> None:
    log = ListLog()
    endpoint = HostPort("no-such-host.invalid", 80)
    settings = ConnectSettings(targets=(endpoint, A), failover=Failover.RR, delay=False, local=None)
    chosen = Targets(settings, itertools.count().__next__, log)
    assert log.lines[0][0] is Level.WARNING
    assert "delayed" in log.texts[0]
    asked: list[Endpoint] = []

    def lookup(asked_for: Endpoint) -> tuple[Address, ...]:
        asked.append(asked_for)
        return (SocketAddress("192.0.2.9", 80),)

    assert [str(target) for target in chosen.candidates(lookup, log)] == ["192.0.2.9:80", "192.0.2.9:80"]
    assert asked == [endpoint, A]


def test_delayed_lookups_happen_one_by_one_as_they_are_needed() -> None:
    chosen = targets(A, HostPort("b.example", 80), delay=True)
    asked: list[Endpoint] = []

    def lookup(asked_for: Endpoint) -> tuple[Address, ...]:
        asked.append(asked_for)
        return (SocketAddress("192.0.2.1", 80),)

    candidates = chosen.candidates(lookup, ListLog())
    next(iter(candidates))
    assert asked == [A]


def test_a_failed_lookup_goes_on_with_the_next_target() -> None:
    log = ListLog()

    def lookup(endpoint: Endpoint) -> tuple[Address, ...]:
        if endpoint == A:
            raise ResolveError(host="a", reason="gone")
        return (SocketAddress("192.0.2.2", 80),)

    assert [str(target) for target in targets(A, B, delay=True).candidates(lookup, log)] == ["192.0.2.2:80"]
    assert log.texts == ["Error resolving 'a': gone"]


@pytest.mark.parametrize("failover", list(Failover))
def test_no_targets_are_no_candidates(failover: Failover) -> None:
    assert order(targets(failover=failover)) == []
