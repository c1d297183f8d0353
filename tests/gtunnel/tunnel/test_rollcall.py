"""Connections, counted: right, and bounded however many there are."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from gtunnel.address import SocketAddress
from gtunnel.tunnel import particulars, rollcall
from gtunnel.tunnel.particulars import Particulars


@dataclass(frozen=True)
class Live:
    """As much of a connection as is looked at."""

    service: Any
    client: SocketAddress | None
    started: float = 0.0
    sides: Any = field(default_factory=lambda: SimpleNamespace(accepted=object()), hash=False, compare=False)


def live(service: str, host: str | None, started: float = 0.0, port: int = 1) -> Any:
    return Live(Named(service), None if host is None else SocketAddress(host, port), started)


@dataclass(frozen=True)
class Named:
    name: str


def test_they_are_counted_by_service_and_by_client() -> None:
    program: Any = Live(Named("b"), None, sides=SimpleNamespace(accepted=None))
    everybody = {live("a", "192.0.2.1", port=port) for port in range(3)} | {live("a", None), live("b", "2001:db8::1")}
    found = rollcall.counts({*everybody, program}, 70)
    assert (found["connections"], found["accepted"]) == (6, 70)
    assert found["services"] == {"a": 4, "b": 2}
    assert found["clients"] == 4
    assert found["by_client"][0] == ("192.0.2.1", 3)
    assert sorted(found["by_client"][1:]) == [("2001:db8::1", 1), ("exec", 1), ("unix", 1)]


def test_twenty_thousand_are_told_of_by_some() -> None:
    crowd = {live("a", f"192.0.2.{n % 250}", port=n) for n in range(5000)}
    crowd |= {live("a", f"2001:db8::{n:x}") for n in range(15_000)}
    found = rollcall.counts(crowd, 0)
    assert found["connections"] == 20_000
    assert found["clients"] == 15_250
    assert len(found["by_client"]) == rollcall.MAX_CLIENTS
    assert {client for client, count in found["by_client"] if count > 1} == {f"192.0.2.{n}" for n in range(250)}


def test_the_oldest_are_told_of_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(connection: Any) -> Particulars:
        nothing = dict.fromkeys(("destination", "target", "tls", "cipher", "sni", "subject"))
        return Particulars(
            identifier=str(connection.started),
            service="a",
            client="c",
            to_target=1,
            to_client=2,
            seconds=3.14159,
            **nothing,
        )

    monkeypatch.setattr(particulars, "of", told)
    monkeypatch.setattr(rollcall, "MAX_LISTED", 100)
    crowd = {live("a", "192.0.2.1", started=float(n), port=n) for n in range(500)}
    rests: list[int] = []

    def rest() -> None:
        rests.append(len(rests))
        crowd.discard(live("a", "192.0.2.1", started=99.0, port=99))  # it has ended meanwhile

    found = rollcall.details(crowd, rest)
    assert [line["id"] for line in found] == [f"{n}.0" for n in range(99)]
    assert len(rests) == 2
    assert found[0]["age"] == 3.142
    assert found[0]["to_client"] == 2
