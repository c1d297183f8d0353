"""Namespaces are made, known again and removed; those of others are left alone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from netsetup.lab import namespaces, programs
from netsetup.lab.errors import CommandFailedError

pytestmark = pytest.mark.root

NAME = f"test-ns-{os.getpid()}"


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of ours."""
    namespaces.create(NAME, "a test's mark")
    yield NAME
    if namespaces.exists(NAME):
        namespaces.delete(NAME)


def test_a_namespace_of_ours_is_known_by_its_mark(namespace: str) -> None:
    assert namespaces.exists(namespace)
    assert namespaces.mark_of(namespace) == "a test's mark"
    namespaces.delete(namespace)
    assert not namespaces.exists(namespace)


def test_one_that_exists_is_neither_taken_nor_removed(namespace: str) -> None:
    with pytest.raises(CommandFailedError, match="File exists"):
        namespaces.create(namespace, "another mark")
    assert namespaces.mark_of(namespace) == "a test's mark"


def test_a_namespace_without_mark_is_not_ours() -> None:
    name = f"{NAME}-other"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        assert namespaces.mark_of(name) is None
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_a_mark_that_cannot_be_set_leaves_nothing() -> None:
    name = f"{NAME}-undone"
    with pytest.raises(CommandFailedError):
        namespaces.create(name, "x" * 1000)
    assert not namespaces.exists(name)


def test_what_a_killed_maker_leaves_is_known_and_can_be_removed() -> None:
    stub = namespaces.RUN_NETNS / f"{NAME}-stub"
    stub.touch()
    assert namespaces.is_stub(stub.name)
    namespaces.delete_stub(stub.name)
    assert not stub.exists()
    assert not namespaces.is_stub(stub.name)


def test_a_namespace_is_no_stub_and_is_not_removed_as_one(namespace: str) -> None:
    assert not namespaces.is_stub(namespace)
    namespaces.delete_stub(namespace)
    assert namespaces.mark_of(namespace) == "a test's mark"


def test_a_file_with_something_in_it_is_no_stub() -> None:
    file = namespaces.RUN_NETNS / f"{NAME}-file"
    file.write_text("somebody's")
    try:
        assert not namespaces.is_stub(file.name)
    finally:
        file.unlink()


def test_a_namespace_has_its_mark_from_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ip = programs.find_program("ip")
    fake = tmp_path / "ip"
    # Whoever names it is killed at once.
    fake.write_text(f'#!/bin/sh\n{ip} "$@"\n[ "$1" != netns ] || kill -KILL $$\n')
    fake.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        with pytest.raises(CommandFailedError):
            namespaces.create(f"{NAME}-killed", "a test's mark")
    try:
        assert namespaces.mark_of(f"{NAME}-killed") == "a test's mark"
    finally:
        namespaces.delete(f"{NAME}-killed")


def test_a_batch_stops_at_the_line_that_fails(namespace: str) -> None:
    with pytest.raises(CommandFailedError, match="nosuch") as caught:
        namespaces.ip("-n", namespace, batch=["link set lo up", "link set nosuch up", "link set lo down"])
    assert "Command failed -:2" in str(caught.value)
    assert "UP" in namespaces.ip("-n", namespace, "link", "show", "lo")


def test_only_the_interfaces_that_are_there_are_deleted(namespace: str) -> None:
    pairs = ["link add name a type veth peer name b", "link add name c type veth peer name d"]
    namespaces.ip("-n", namespace, batch=pairs)
    namespaces.delete_links(namespace, ["a", "nosuch"])
    left = namespaces.ip("-n", namespace, "link", "show")
    assert "c@d" in left
    assert "a@b" not in left


def test_sysctls_are_those_of_the_namespace(namespace: str) -> None:
    before = Path("/proc/sys/net/ipv4/ip_default_ttl").read_text()
    namespaces.set_sysctls(namespace, [("net/ipv4/ip_default_ttl", "99")])
    assert Path("/proc/sys/net/ipv4/ip_default_ttl").read_text() == before
    with pytest.raises(CommandFailedError, match="nosuch"):
        namespaces.set_sysctls(namespace, [("net/nosuch", "1")])


def test_without_iproute2_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(programs, "ADMINISTRATOR", ())
    with pytest.raises(CommandFailedError, match="iproute2"):
        namespaces.ip("link")


def test_an_ip_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "ip"
    fake.write_text("#!/bin/sh\nexec /bin/sleep 100\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(namespaces, "COMMAND_TIMEOUT", 0.1)
    with pytest.raises(CommandFailedError, match="no answer"):
        namespaces.ip("link")
