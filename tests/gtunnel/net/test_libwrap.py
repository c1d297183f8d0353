"""The real library, with files of our own."""

from pathlib import Path

import pytest

from gtunnel.address import SocketAddress
from gtunnel.net import libwrap
from gtunnel.net.libwrap import Libwrap


@pytest.fixture
def wrappers(tmp_path: Path) -> Libwrap:
    library = libwrap.load()
    assert library is not None, "libwrap0 is not installed: tools/install-packages run test"
    allow, deny = tmp_path / "allow", tmp_path / "deny"
    allow.write_text("web: 192.0.2. [2001:db8::]/32 localhost\nweb@192.0.2.200: 198.51.100.0/24\n")
    deny.write_text("ALL: ALL\n")
    library.use_files(bytes(allow), bytes(deny))
    return library


@pytest.mark.parametrize(
    ("client", "server", "permitted"),
    [
        ("192.0.2.5", None, True),
        ("203.0.113.5", None, False),
        ("2001:db8::5", None, True),
        ("2001:db9::5", None, False),
        ("127.0.0.1", None, True),
        ("198.51.100.9", "192.0.2.200", True),
        ("198.51.100.9", "192.0.2.201", False),
        ("198.51.100.9", None, False),
    ],
)
def test_the_files_decide(wrappers: Libwrap, client: str, server: str | None, permitted: bool) -> None:
    reached = None if server is None else SocketAddress(server, 443)
    assert wrappers.permits("web", SocketAddress(client, 5000), reached) is permitted
    assert not wrappers.permits("mail", SocketAddress(client, 5000), reached)


def test_a_long_name_does_no_harm(wrappers: Libwrap) -> None:
    assert not wrappers.permits("x" * 5000, SocketAddress("192.0.2.5", 1), None)


def test_a_machine_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libwrap, "LIBRARY", "libnothing.so.0")
    assert libwrap.load() is None
