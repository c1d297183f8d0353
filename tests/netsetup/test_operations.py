"""What only shows inside one process: failures injected between the steps. The rest is in test_api."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netsetup import operations
from netsetup.backends.contract import Image
from netsetup.backends.iptables import IptablesBackend
from netsetup.errors import ConvergenceError, FirewallError, LedgerError, StepError
from netsetup.kernel.routing import Routing
from netsetup.model import Backend
from netsetup.state import IpRule
from tests.netsetup.rich import RICH as EITHER
from tests.netsetup.world import World, inside

pytestmark = pytest.mark.root

RICH = replace(EITHER, backend=Backend.IPTABLES)
"""With the backend that takes several steps."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.mark.parametrize("unit", ["ip6tables-legacy mangle", "iptables-legacy mangle", "iptables-legacy nat"])
def test_a_firewall_that_fails_after_its_commit_is_undone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str
) -> None:
    write = IptablesBackend.write

    def failing(self: IptablesBackend, name: str, content: object) -> None:
        write(self, name, content)  # type: ignore[arg-type]
        if name == unit and content is not None:
            raise FirewallError(unit=name, reason="injected")

    monkeypatch.setattr(IptablesBackend, "write", failing)
    before = world.snapshot()

    def work() -> None:
        with pytest.raises(StepError, match=r"injected.*undone"):
            operations.apply(RICH, tmp_path)

    inside(world.gateway, work)
    assert world.snapshot() == before
    assert list(tmp_path.glob("*.json")) == []


def test_a_step_that_did_nothing_is_noticed_by_reading_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when pyroute2 ignores an argument."""
    add = Routing.add_rule

    def forgetful(self: Routing, rule: IpRule) -> None:
        if rule.source is None:
            add(self, rule)

    monkeypatch.setattr(Routing, "add_rule", forgetful)
    before = world.snapshot()

    def work() -> None:
        with pytest.raises(ConvergenceError, match=r"\+ ip -4 rule pref 5003"):
            operations.apply(RICH, tmp_path)

    inside(world.gateway, work)
    assert world.snapshot() == before
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.parametrize("when", ["at a step", "while reading back"])
def test_an_interrupt_undoes_everything(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Ctrl-C; here it comes at a moment that can be chosen."""
    read, count = IptablesBackend.read, itertools.count()

    def interrupted(self: IptablesBackend) -> Image:
        if next(count) == 1:
            raise KeyboardInterrupt
        return read(self)

    def refusing(_self: Routing, _rule: IpRule) -> None:
        raise KeyboardInterrupt

    if when == "at a step":
        monkeypatch.setattr(Routing, "add_rule", refusing)
    else:
        monkeypatch.setattr(IptablesBackend, "read", interrupted)
    before = world.snapshot()

    def work() -> None:
        with pytest.raises(KeyboardInterrupt):
            operations.apply(RICH, tmp_path)

    inside(world.gateway, work)
    assert world.snapshot() == before
    assert list(tmp_path.glob("*.json")) == []


def test_nothing_is_done_where_the_ledger_cannot_be_written(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(_self: object, _entry: object) -> None:
        raise LedgerError(path=tmp_path, reason="disk full")

    monkeypatch.setattr("netsetup.ledger.Ledger.save", refusing)
    before = world.snapshot()

    def work() -> None:
        with pytest.raises(LedgerError, match="disk full"):
            operations.apply(RICH, tmp_path)

    inside(world.gateway, work)
    assert world.snapshot() == before
