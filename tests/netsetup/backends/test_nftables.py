from pathlib import Path

import pytest

from netsetup import operations
from netsetup.backends.contract import Content
from netsetup.backends.nftables import NftablesBackend
from netsetup.errors import BackendError, CollisionError, FirewallError
from tests.netsetup.backends.contract import LITTLE, BackendContract, world
from tests.netsetup.world import World, inside

__all__ = ["world"]

UNIT = "nft inet gtunnel"


class TestNftables(BackendContract):
    def make_backend(self, instance: str) -> NftablesBackend:
        return NftablesBackend(instance)


@pytest.mark.root
def test_everything_is_one_unit() -> None:
    assert list(NftablesBackend("gtunnel").render(LITTLE)) == [UNIT]
    assert NftablesBackend("gtunnel").render(()) == {}


@pytest.mark.root
@pytest.mark.parametrize(
    "damage",
    [
        "nft flush chain inet gtunnel v4_pre",
        "nft insert rule inet gtunnel v6_pre accept",
        "nft add chain inet gtunnel mine",
        "nft add set inet gtunnel mine { type ipv4_addr ; }",
    ],
)
def test_any_difference_is_seen_and_repaired(world: World, damage: str) -> None:
    def write() -> None:
        with NftablesBackend("gtunnel") as backend:
            backend.write(UNIT, backend.render(LITTLE)[UNIT])

    def see_and_repair() -> None:
        with NftablesBackend("gtunnel") as backend:
            wanted = backend.render(LITTLE)[UNIT]
            found = backend.read()[UNIT]
            assert found != wanted
            assert set(found.lines) != set(wanted.lines)
            backend.write(UNIT, wanted)
            assert backend.read() == {UNIT: wanted}

    def remove() -> None:
        with NftablesBackend("gtunnel") as backend:
            backend.write(UNIT, None)

    before = world.snapshot()
    inside(world.gateway, write)
    world.run(world.gateway, damage)
    inside(world.gateway, see_and_repair)
    inside(world.gateway, remove)
    assert world.snapshot() == before


@pytest.mark.root
def test_what_is_damaged_can_be_written_again_to_undo_a_step(world: World) -> None:
    """A step's reverse is what was read, whatever it was."""

    def work() -> None:
        with NftablesBackend("gtunnel") as backend:
            backend.write(UNIT, backend.render(LITTLE)[UNIT])
        world.run(world.gateway, "nft insert rule inet gtunnel v6_pre meta mark 7 counter log prefix odd accept")
        with NftablesBackend("gtunnel") as backend:
            odd = backend.read()[UNIT]
            backend.write(UNIT, None)
            backend.write(UNIT, odd)
            assert backend.read() == {UNIT: odd}
            backend.write(UNIT, None)

    before = world.snapshot()
    inside(world.gateway, work)
    assert world.snapshot() == before


@pytest.mark.root
def test_a_kernel_that_holds_something_else_is_not_believed(world: World) -> None:
    def work() -> None:
        with NftablesBackend("gtunnel") as backend:
            lie = Content(backend.render(LITTLE)[UNIT].data.replace("v4_pre", "v4_other", 1), ())
            try:
                with pytest.raises(FirewallError):
                    backend.write(UNIT, lie)
            finally:
                backend.write(UNIT, None)

    inside(world.gateway, work)


@pytest.mark.root
def test_a_name_that_means_something_to_nft_is_told() -> None:
    with pytest.raises(BackendError, match="nft takes no table of the name 'policy'; choose another netName"):
        NftablesBackend("policy").render(LITTLE)


@pytest.mark.root
def test_legacy_rules_are_a_warning(world: World) -> None:
    def work() -> None:
        with NftablesBackend("gtunnel") as backend:
            (warning,) = backend.warnings()
            assert "iptables-legacy mangle, iptables-legacy nat" in warning or "iptables-legacy nat" in warning
            assert "iptables-legacy-save" in warning

    inside(world.gateway, work)

    def none() -> None:
        with NftablesBackend("gtunnel") as backend:
            assert backend.warnings() == ()

    inside(world.client, none)


@pytest.mark.root
@pytest.mark.parametrize(
    "content",
    [
        "chain input { type filter hook input priority 0; tcp dport 22 accept; }",
        "set hosts { type ipv4_addr; }",
    ],
)
def test_a_table_of_others_with_our_name_is_neither_replaced_nor_removed(
    world: World, tmp_path: Path, content: str
) -> None:
    file = tmp_path / "filter.nft"
    file.write_text(f"table inet filter {{\n{content}\n}}\n")

    def read() -> None:
        with (
            NftablesBackend("filter") as backend,
            pytest.raises(CollisionError, match=r"the nft table inet filter is taken .* another netName"),
        ):
            backend.read()

    def destroy() -> None:
        with pytest.raises(CollisionError):
            operations.destroy("filter", tmp_path)

    world.run(world.gateway, f"nft -f {file}")
    try:
        before = world.snapshot()
        inside(world.gateway, read)
        inside(world.gateway, destroy)
        assert world.snapshot() == before
    finally:
        world.run(world.gateway, "nft delete table inet filter")


@pytest.mark.root
@pytest.mark.parametrize("damage", ["nft flush table inet gtunnel", "nft add chain inet gtunnel mine"])
def test_a_table_of_ours_is_ours_however_damaged(world: World, damage: str) -> None:
    def work() -> None:
        with NftablesBackend("gtunnel") as backend:
            backend.write(UNIT, backend.render(LITTLE)[UNIT])
            world.run(world.gateway, damage)
            assert list(backend.read()) == [UNIT]
            backend.write(UNIT, None)
            assert backend.read() == {}

    inside(world.gateway, work)
