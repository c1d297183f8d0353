from pathlib import Path

import pytest

from netsetup import inside
from netsetup.errors import NamespaceError
from netsetup.model import Request
from netsetup.outcome import Status
from tests.netsetup.world import World


def test_an_error_in_the_child_is_raised_here(tmp_path: Path) -> None:
    with pytest.raises(NamespaceError, match="'gtt-none' cannot be entered"):
        inside.run("gtt-none", "status", Request(interceptions=()), tmp_path)


def test_a_child_that_dies_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(NamespaceError, match="ended with status 1"):
        inside.run("gtt-none", "status", Request(interceptions=()), tmp_path)


@pytest.mark.root
def test_answers_come_back_whole(tmp_path: Path) -> None:
    with World() as world:
        assert inside.run(world.client, "status", Request(interceptions=()), tmp_path) == Status(differences=())
