"""What a service manager gets to hear (sd_notify(3))."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gtunnel.daemon import notify as module
from gtunnel.daemon.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


@pytest.fixture
def made() -> Iterator[Callable[[], Notifier]]:
    """`made()`: a notifier with the environment as it is."""
    notifiers: list[Notifier] = []

    def make() -> Notifier:
        notifiers.append(Notifier())
        return notifiers[-1]

    yield make
    for notifier in notifiers:
        notifier.close()


def heard(manager: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in manager.recv(4096).decode().splitlines())


def test_the_life_of_a_service(manager: socket.socket, made: Callable[[], Notifier]) -> None:
    notifier = made()
    notifier.ready("Serving 2 services")
    assert heard(manager) == {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "Serving 2 services"}
    notifier.reloading()
    told = heard(manager)
    assert told["RELOADING"] == "1"
    assert told["MONOTONIC_USEC"].isdigit()
    notifier.stopping()
    assert heard(manager) == {"STOPPING": "1"}
    assert "NOTIFY_SOCKET" not in os.environ


def test_a_name_in_the_abstract_namespace(monkeypatch: pytest.MonkeyPatch, made: Callable[[], Notifier]) -> None:
    name = f"gtunnel-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        made().stopping()
        assert heard(manager) == {"STOPPING": "1"}


def test_signs_of_life_come_twice_as_often_as_asked_for(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, made: Callable[[], Notifier]
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = made()
    assert notifier.watchdog == 5.0
    # With what is asked of others it is still in time.
    assert notifier.patience == 2.5
    notifier.alive()
    assert heard(manager) == {"WATCHDOG": "1"}
    assert notifier.watchdog is not None
    assert notifier.watchdog > 5.0
    assert "WATCHDOG_USEC" not in os.environ


@pytest.mark.parametrize(("usec", "pid"), [("10000000", "1"), ("0", ""), ("soon", "")])
def test_signs_of_life_that_are_not_meant_are_not_given(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, usec: str, pid: str, made: Callable[[], Notifier]
) -> None:
    assert manager
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert made().watchdog is None


@pytest.mark.parametrize("path", ["", "/nowhere/notify"])
def test_without_a_manager_nobody_is_told(
    path: str, monkeypatch: pytest.MonkeyPatch, made: Callable[[], Notifier]
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    notifier = made()
    notifier.ready("")
    notifier.alive()
    assert notifier.watchdog is None


def test_a_manager_that_does_not_read_holds_up_nobody(
    manager: socket.socket, made: Callable[[], Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELL_SECONDS", 0.01)
    notifier = made()
    for _ in range(1000):  # net.unix.max_dgram_qlen is 10, or some hundred
        notifier.stopping()
    assert heard(manager) == {"STOPPING": "1"}
    notifier.ready("Serving 1 service")
