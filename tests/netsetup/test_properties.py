"""Whatever is wanted: once applied it is there, applying again changes nothing, and destroying restores everything.

The examples are the same in every run; `--hypothesis-profile=search` looks for others.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from netsetup import operations
from netsetup.errors import BackendError, NetsetupError
from netsetup.model import Backend, Capture, Interception, Listener, Marks, Method, Request, Target
from netsetup.modes.build import desired
from tests.netsetup.world import World, inside

pytestmark = pytest.mark.root

settings.register_profile("search", derandomize=False, max_examples=200)

_HOSTS = st.sampled_from(["0.0.0.0", "::", "127.0.0.1", "::1", "192.0.2.1", "198.51.100.1", "2001:db8:1::1"])
_PORTS = st.integers(min_value=1, max_value=65535)
_RANGES = st.tuples(_PORTS, _PORTS).map(lambda pair: (min(pair), max(pair)))
_NETWORKS = st.lists(
    st.sampled_from(["192.0.2.0/24", "192.0.2.2/32", "2001:db8:1::/64", "2001:db8::/32", "0.0.0.0/0", "::/0"]),
    max_size=3,
    unique=True,
).map(tuple)
_CAPTURES = st.builds(
    Capture,
    ports=st.lists(_RANGES, min_size=1, max_size=6, unique=True).map(tuple),
    interfaces=st.lists(st.sampled_from(["eth1", "eth2", "later0"]), max_size=3, unique=True).map(tuple),
    from_networks=_NETWORKS,
    to_networks=_NETWORKS,
    exclude=_NETWORKS,
    local=st.booleans(),
    method=st.sampled_from(Method),
    fail_closed=st.booleans(),
)
_SERVICES = st.builds(
    Interception,
    name=st.just("x"),
    listeners=st.lists(st.builds(Listener, host=_HOSTS, port=_PORTS), min_size=1, max_size=3).map(tuple),
    source=st.booleans(),
    capture=st.none() | _CAPTURES,
    targets=st.lists(st.builds(Target, host=_HOSTS, port=_PORTS), max_size=2).map(tuple),
)
_MARKS = st.sampled_from([Marks.from_first(0x1, 0xFF), Marks.from_first(0x100000, 0xF00000)])
_REQUESTS = st.builds(
    Request,
    interceptions=st.lists(_SERVICES, min_size=1, max_size=3).map(
        lambda services: tuple(replace(service, name=f"s {number}") for number, service in enumerate(services))
    ),
    marks=_MARKS,
    table=st.sampled_from([100, 4000000000]),
    priority=st.sampled_from([5000, 32000]),
)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.mark.parametrize("backend", [Backend.NFTABLES, Backend.IPTABLES], ids=lambda backend: str(backend.value))
@given(data=st.data())
@settings(
    deadline=None,
    max_examples=12,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)
def test_apply_is_in_sync_and_idempotent_and_destroy_restores(
    world: World, tmp_path: Path, backend: Backend, data: st.DataObject
) -> None:
    request = replace(data.draw(_REQUESTS), backend=backend)
    try:
        wanted = desired(request)
    except NetsetupError:
        assume(False)
    assume(wanted.chains)
    before = world.snapshot()

    def work() -> None:
        try:
            operations.apply(request, tmp_path)
            status = operations.status(request, tmp_path)
            assert status.in_sync, status.lines()
            assert operations.apply(request, tmp_path).steps == ()
        except BackendError as error:
            assert "captureFailClosed" in str(error)  # noqa: PT017 - what iptables cannot do
        finally:
            operations.destroy(request.instance, tmp_path)
        assert operations.destroy(request.instance, tmp_path).steps == ()

    inside(world.gateway, work)
    assert world.snapshot() == before
