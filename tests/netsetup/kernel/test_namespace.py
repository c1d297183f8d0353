from collections.abc import Iterator
from pathlib import Path

import pytest

from netsetup.errors import NamespaceError
from netsetup.kernel import namespace
from tests.netsetup.world import World, inside


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../net/x"])
def test_only_plain_names_are_tried(name: str) -> None:
    with pytest.raises(NamespaceError, match="no name of a namespace"):
        namespace.enter(name)


def test_a_missing_namespace_is_named() -> None:
    with pytest.raises(NamespaceError, match="'gtt-none' cannot be entered: there is none"):
        namespace.enter("gtt-none")


@pytest.mark.root
def test_each_namespace_has_its_identity(world: World) -> None:
    here = namespace.identity()
    assert here == namespace.identity()

    def work() -> None:
        assert namespace.identity() != here
        assert Path("/proc/sys/net/ipv4/conf/eth2").exists()
        assert namespace.interfaces() >= {"lo", "eth1", "eth2"}
        namespace.require_net_admin()

    inside(world.gateway, work)
