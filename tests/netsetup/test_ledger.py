import json
import stat
from pathlib import Path

import pytest

from netsetup.errors import LedgerError, LockError
from netsetup.ledger import Entry, Ledger, lock
from netsetup.state import Change, Claim

ENTRY = Entry(claims=(Claim(100, 5000), Claim(4000000000, 1)), sysctls={"net/x": Change("0", "1")})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "7", "gtunnel")
    assert ledger.load() is None
    ledger.save(ENTRY)
    assert ledger.load() == ENTRY
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]
    ledger.save(None)
    ledger.save(None)
    assert list(tmp_path.iterdir()) == []


def test_namespaces_and_instances_are_apart(tmp_path: Path) -> None:
    Ledger(tmp_path, "7", "gtunnel").save(ENTRY)
    assert Ledger(tmp_path, "8", "gtunnel").load() is None
    assert Ledger(tmp_path, "8", "gtunnel").others() == []
    other = Ledger(tmp_path, "7", "other")
    assert other.load() is None
    assert other.others() == list(ENTRY.claims)
    assert Ledger(tmp_path, "7", "gtunnel").others() == []


def test_an_entry_of_an_earlier_boot_says_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, "7", "gtunnel")
    ledger.save(ENTRY)
    (path,) = tmp_path.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"boot": "earlier"}))
    assert ledger.load() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"claims": 1}', '{"boot": "", "claims": [], "sysctls": []}'])
def test_a_damaged_entry_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "netsetup-7-gtunnel.json"
    path.write_text(text)
    with pytest.raises(LedgerError, match=str(path)):
        Ledger(tmp_path, "7", "gtunnel").load()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="file"):
        Ledger(tmp_path / "file", "7", "gtunnel").save(ENTRY)
    with pytest.raises(LedgerError, match="file"), lock(tmp_path / "file"):
        pass


def test_the_lock_excludes_for_its_time_only(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with lock(directory):
        with pytest.raises(LockError, match=r"after 0\.05 seconds"), lock(directory, 0.05):
            pass
        assert not stat.S_IMODE((directory / "netsetup.lock").stat().st_mode) & 0o077
    with lock(directory, 0.05):
        pass
