"""Counters of real rules; that they move with a probe is seen in test_probing."""

from pathlib import Path

import pytest

from netsetup.doctor.probe.counters import Counted, count
from netsetup.model import Backend, Method
from tests.netsetup.doctor.gateway import applied, capturing, proxy
from tests.netsetup.world import SERVER, World, inside


def test_they_are_added_and_compared() -> None:
    assert Counted(3, 1) - Counted(1, 1) + Counted(0, 2) == Counted(2, 2)


@pytest.mark.root
def test_what_both_backends_rules_have_counted(tmp_path: Path) -> None:
    with World() as world:

        def counted() -> None:
            assert count("gtunnel", 4) == Counted(taken=1)
            assert count("gtunnel", 6) in (Counted(), Counted(taken=1))  # nftables' rules are in one table
            assert count("other", 4) == Counted()

        for backend, method in ((Backend.NFTABLES, Method.TPROXY), (Backend.IPTABLES, Method.REDIRECT)):
            request = capturing(method, backend=backend, source=False)
            with applied(world, request, tmp_path), proxy(world, request):
                world.ask(world.client, SERVER[4], 80, 10)
                inside(world.gateway, counted)
