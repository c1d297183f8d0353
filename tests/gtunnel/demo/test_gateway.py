"""The second part: the server sees the client's own address, in both families, and the picture says so."""

import importlib.util
from pathlib import Path

import pytest

from gtunnel.demo import gateway
from gtunnel.demo.errors import DemoError
from netsetup.lab import Lab


@pytest.mark.root
def test_it_shows_the_client_s_own_address_in_both_families(tmp_path: Path, lab: Lab) -> None:
    said: list[str] = []
    gateway.show(said.append, tmp_path, lab)
    told = "\n".join(said)
    for client, server in (("192.0.2.2", "198.51.100.2:80"), ("[2001:db8:1::2]", "[2001:db8:2::2]:80")):
        lines = [line for line in said if line.strip().startswith("server ") and client in line]
        assert len(lines) == 1
        assert server in lines[0]
    assert told.count("TLSv1.3, TLS_") == 2
    assert "Traceback" not in (tmp_path / "gateway.log").read_text()


@pytest.mark.root
def test_a_netsetup_that_fails_is_quoted(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "GTUNNEL", ("sh", "-c", "echo refused; exit 1"))
    with pytest.raises(DemoError, match="netsetup apply failed with exit status 1:\n    refused"):
        gateway.show(lambda _: None, tmp_path, lab)
    assert lab.status().hosts[2].processes == ()


@pytest.mark.root
def test_without_gtunnel_the_client_gets_nothing(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "GTUNNEL", ("echo", "Accepting new connections"))
    with pytest.raises(DemoError, match="curl: "):
        gateway.show(lambda _: None, tmp_path, lab)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(gateway, "find_program", lambda program: None if program == "curl" else "/bin/true")
    assert gateway.obstacle() == "not installed: curl"
    monkeypatch.setattr(gateway, "find_program", lambda _: "/bin/true")
    assert gateway.obstacle() is None
    # Rules are written with nft, or with python-iptables and its libraries.
    monkeypatch.setattr(
        gateway, "find_program", lambda program: None if program in ("nft", "iptables") else "/bin/true"
    )
    assert gateway.obstacle() == "not installed: iptables"
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert gateway.obstacle() == "not installed: nft"


@pytest.mark.root
def test_programs_of_the_administrator_are_found_without_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert gateway.obstacle() is None


@pytest.mark.root
def test_what_netsetup_applied_is_undone_when_something_comes_in_between(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    monkeypatch.setattr(gateway, "GTUNNEL", ("sh", "-c", f'echo "$@" >>{calls}; exit 1', "sh"))
    with pytest.raises(DemoError):
        gateway.show(lambda _: None, tmp_path, lab)
    assert calls.read_text().splitlines()[-1] == "netsetup destroy"
