from pathlib import Path

import pytest

from netsetup.backends.firewall import Firewall
from netsetup.errors import BackendError
from netsetup.model import Backend, Capture, Interception, Listener, Request
from netsetup.modes.build import desired
from tests.netsetup.backends.contract import LITTLE, world
from tests.netsetup.world import World, inside

__all__ = ["world"]

NFT_UNIT = "nft inet gtunnel"


@pytest.mark.root
def test_auto_takes_nftables_where_it_works() -> None:
    with Firewall(Backend.AUTO, "gtunnel") as firewall:
        assert list(firewall.render(LITTLE)) == [NFT_UNIT]
        (note,) = firewall.notes()
    assert note.startswith("firewall rules are written with nftables (auto: ")


def test_auto_takes_iptables_where_there_is_no_nft(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with Firewall(Backend.AUTO, "gtunnel") as firewall:
        assert set(firewall.render(LITTLE)) >= {"iptables-legacy mangle"}
        (note,) = firewall.notes()
    assert note == (
        "firewall rules are written with iptables (auto: nftables cannot be used: there is no program nft)"
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 7", "unshare ended with 7"),
        ("echo 'Error: Could not process rule: Operation not supported' >&2; exit 1", "Operation not supported"),
    ],
)
def test_auto_takes_iptables_where_the_kernel_refuses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, reason: str
) -> None:
    """A kernel without nft_tproxy, imitated: `unshare`, in which the rules are tried, says what nft would say."""
    for name in ("nft", "unshare"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with Firewall(Backend.AUTO, "gtunnel") as firewall:
        assert set(firewall.render(LITTLE)) >= {"iptables-legacy mangle"}
        (note,) = firewall.notes()
    assert "nftables does not work here: " in note
    assert reason in note


def test_nothing_wanted_needs_no_choice() -> None:
    with Firewall(Backend.AUTO, "gtunnel") as firewall:
        assert firewall.render(()) == {}
        assert firewall.notes() == firewall.warnings() == ()


def test_a_backend_that_is_wanted_but_missing_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        Firewall(Backend.NFTABLES, "gtunnel") as firewall,
        pytest.raises(BackendError, match=r"netBackend = nftables: there is no program nft; install it"),
    ):
        firewall.render(LITTLE)


def test_iptables_cannot_fail_open() -> None:
    listeners = (Listener(host="127.0.0.1", port=1),)
    capture = Capture(ports=((1, 1),), fail_closed=False)
    service = Interception(name="x", listeners=listeners, source=False, capture=capture)
    chains = desired(Request(interceptions=(service,))).chains
    with Firewall(Backend.IPTABLES, "gtunnel") as firewall, pytest.raises(BackendError, match="captureFailClosed"):
        firewall.render(chains)


@pytest.mark.root
def test_what_either_backend_wrote_is_found_and_removed(world: World) -> None:
    def work() -> None:
        for wanted in (Backend.IPTABLES, Backend.NFTABLES):
            with Firewall(wanted, "gtunnel") as firewall:
                for unit, content in firewall.render(LITTLE).items():
                    firewall.write(unit, content)
        with Firewall(Backend.AUTO, "gtunnel") as firewall:
            found = firewall.read()
            assert {NFT_UNIT, "iptables-legacy mangle"} <= set(found)
            for unit in found:
                firewall.write(unit, None)
            assert firewall.read() == {}

    before = world.snapshot()
    inside(world.gateway, work)
    assert world.snapshot() == before
