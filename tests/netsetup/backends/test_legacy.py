from pathlib import Path

import pytest

from netsetup.backends import legacy
from netsetup.state import Family
from tests.netsetup.world import World, inside


@pytest.mark.root
def test_looking_loads_no_table() -> None:
    with World() as world:

        def work() -> None:
            assert legacy.loaded(Family.IPV4) == ()
            assert legacy.tables_in_use() == ()
            assert legacy.loaded(Family.IPV4) == ()

        inside(world.client, work)


@pytest.mark.root
def test_only_tables_that_do_something_are_in_use() -> None:
    with World() as world:
        world.run(world.client, "iptables-legacy -t mangle -N idle")
        world.run(world.client, "iptables-legacy -t nat -A OUTPUT -p tcp --dport 1 -j ACCEPT")
        world.run(world.client, "ip6tables-legacy -P FORWARD DROP")

        def work() -> None:
            assert set(legacy.loaded(Family.IPV4)) == {"mangle", "nat"}
            assert set(legacy.tables_in_use()) == {"iptables-legacy nat", "ip6tables-legacy filter"}
            text = legacy.saved(Family.IPV4, "mangle")
            assert text is not None
            assert ":idle - [0:0]" in text

        inside(world.client, work)


def test_without_the_program_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert legacy.saved(Family.IPV4, "nat") is None
