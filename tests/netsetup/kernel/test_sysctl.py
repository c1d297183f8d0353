from collections.abc import Iterator

import pytest

from netsetup.errors import SysctlError
from netsetup.kernel import sysctl
from tests.netsetup.world import World, inside


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


def test_what_does_not_exist_has_no_value_and_cannot_be_set() -> None:
    path = "net/ipv4/conf/gtt-none/route_localnet"
    assert sysctl.read(path) is None
    with pytest.raises(SysctlError, match=r"sysctl net\.ipv4\.conf\.gtt-none\.route_localnet: there is none"):
        sysctl.write(path, "1")


@pytest.mark.root
def test_a_value_is_set_in_this_namespace_only(world: World) -> None:
    path = "net/ipv4/conf/lo/route_localnet"
    before = sysctl.read(path)

    def work() -> None:
        sysctl.write(path, "1")
        assert sysctl.read(path) == "1"
        with pytest.raises(SysctlError, match="Invalid argument"):
            sysctl.write(path, "x")

    inside(world.client, work)
    assert sysctl.read(path) == before
