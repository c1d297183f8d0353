from pathlib import Path

import pytest

from netsetup.backends import nft
from netsetup.errors import BackendError, FirewallError
from tests.netsetup.world import World, inside

TABLE = "table inet t {\n  chain c { tcp dport 0x50 counter accept; }\n}\n"


@pytest.mark.root
def test_a_script_becomes_what_nft_will_read_back() -> None:
    listing = nft.canonical(TABLE, "t")
    assert "tcp dport 80 counter accept" in listing.text
    assert nft.canonical(listing.text, "t") == listing
    assert [next(iter(one)) for one in listing.objects] == ["table", "chain", "rule"]
    assert "handle" not in str(listing.objects)


@pytest.mark.root
def test_making_it_comparable_changes_nothing_here() -> None:
    with World() as world:

        def work() -> None:
            nft.canonical(TABLE, "t")
            assert nft.listed("t") is None
            assert "t" not in nft.tables()

        inside(world.client, work)


@pytest.mark.root
def test_counts_do_not_make_a_difference() -> None:
    with World() as world:

        def work() -> None:
            nft.load(TABLE.replace("counter", "counter packets 7 bytes 700"), "t")
            assert nft.listed("t") == nft.canonical(TABLE, "t")

        inside(world.client, work)


@pytest.mark.root
def test_what_nft_refuses_is_told_in_its_words() -> None:
    with pytest.raises(FirewallError, match=r"nft table inet t: .*nonsense") as caught:
        nft.canonical("table inet t { chain c { nonsense; }; }\n", "t")
    assert "\n" not in str(caught.value)


@pytest.mark.root
def test_tables_in_use_have_a_rule_or_drop() -> None:
    with World() as world:

        def work() -> None:
            nft.load("table inet idle { chain c { type filter hook input priority 0; }; }\n", "idle")
            nft.load("table inet shut { chain c { type filter hook input priority 0; policy drop; }; }\n", "shut")
            nft.load(TABLE, "t")
            assert nft.tables_in_use() == ("inet shut", "inet t")

        inside(world.client, work)


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not nft.is_there()
    assert nft.tables_in_use() == ()
    with pytest.raises(BackendError, match="no program nft; install it"):
        nft.require()
