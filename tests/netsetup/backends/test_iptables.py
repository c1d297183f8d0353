import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netsetup.backends.contract import FirewallBackend
from netsetup.backends.iptables import IptablesBackend
from netsetup.errors import BackendError, FirewallError
from tests.netsetup.backends.contract import LITTLE, BackendContract
from tests.netsetup.world import World, inside

TABLE = "add table inet theirs"
HOOKED = "add chain inet theirs c {{ type filter hook input priority 0 ; policy {} ; }}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


class TestContract(BackendContract):
    def make_backend(self, instance: str) -> FirewallBackend:
        return IptablesBackend(instance)


@pytest.mark.root
def test_counters_of_others_are_kept(world: World) -> None:
    world.run(world.gateway, "iptables-legacy -t mangle -A INPUT -s 203.0.113.77 -c 7 77")

    def work() -> None:
        with IptablesBackend("gtunnel") as backend:
            for unit, content in backend.render(LITTLE).items():
                backend.write(unit, content)
                backend.write(unit, None)

    inside(world.gateway, work)
    assert "[7:77] -A INPUT -s 203.0.113.77/32" in world.run(world.gateway, "iptables-legacy-save -c -t mangle")
    world.run(world.gateway, "iptables-legacy -t mangle -D INPUT -s 203.0.113.77")


@pytest.mark.root
def test_the_lock_of_iptables_is_waited_for_and_held(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "xtables.lock"
    monkeypatch.setitem(os.environ, "XTABLES_LOCKFILE", str(path))
    with subprocess.Popen(["flock", str(path), "sh", "-c", "echo held; sleep 1"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        def work() -> None:
            with IptablesBackend("gtunnel") as backend:
                backend.write("iptables-legacy mangle", None)

        inside(world.gateway, work)
        assert holder.poll() is not None


@pytest.mark.root
def test_a_child_that_dies_is_reported_with_its_last_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")

    def work() -> None:
        with IptablesBackend("gtunnel") as backend, pytest.raises(FirewallError, match="child process ended"):
            backend.write("iptables-legacy mangle", None)

    inside(world.gateway, work)


@pytest.mark.root
def test_a_missing_library_is_named_with_what_to_install(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "iptc.py").write_text("raise ImportError('No module named iptc')")
    monkeypatch.setitem(os.environ, "PYTHONPATH", str(tmp_path))

    def work() -> None:
        with IptablesBackend("gtunnel") as backend, pytest.raises(BackendError, match=r"pip install 'gtunnel\[ipt"):
            backend.write("iptables-legacy mangle", None)

    inside(world.gateway, work)


@pytest.mark.root
@pytest.mark.parametrize(
    ("there", "acting"),
    [
        ((), False),
        ((TABLE,), False),
        ((TABLE, HOOKED.format("accept")), False),
        ((TABLE, HOOKED.format("drop")), True),
        ((TABLE, HOOKED.format("accept"), "add rule inet theirs c tcp dport 80 accept"), True),
    ],
)
def test_nftables_beside_ours_are_a_warning_if_they_do_something(
    world: World, there: tuple[str, ...], acting: bool
) -> None:
    """Empty tables and chains are often there, and no packet meets anything in them."""

    def warned() -> None:
        warnings = IptablesBackend("gtunnel").warnings()
        assert len(warnings) == acting
        assert all("in inet theirs: " in text and "`nft list ruleset`" in text for text in warnings)

    try:
        for command in there:
            world.run(world.server, f"nft {command}")
        inside(world.server, warned)
    finally:
        world.run(world.server, "nft flush ruleset")


@pytest.mark.root
def test_reading_needs_no_library_where_nothing_is_ours(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside others' rules in the same tables: python-iptables takes half a second to load."""
    (tmp_path / "iptc.py").write_text("raise ImportError('No module named iptc')")
    monkeypatch.setitem(os.environ, "PYTHONPATH", str(tmp_path))

    def work() -> None:
        with IptablesBackend("gtunnel") as backend:
            assert backend.read() == {}

    assert "--dport 2222" in world.run(world.gateway, "iptables-legacy-save -t mangle")
    inside(world.gateway, work)
