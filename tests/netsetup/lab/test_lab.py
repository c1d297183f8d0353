"""The lab: up in a moment, carries traffic in both families, and leaves nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest

from netsetup.lab import CLIENT, DEFAULT_NAME, GATEWAY, SERVER, Lab, held, namespaces, processes
from netsetup.lab.errors import (
    BadNameError,
    CommandFailedError,
    ForeignNamespaceError,
    LabExistsError,
    LabIncompleteError,
    NoLabError,
    NotRootError,
    UnknownHostError,
)
from tests.support.daemon import Daemon
from tests.support.tunnels import ROOT

NAME = f"test-lab-{os.getpid()}"
ENDPOINTS = [sys.executable, "-m", "tests.support.endpoints"]


def ours(name: str = NAME) -> list[str]:
    """Namespaces with this name in front."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return sorted(line.split()[0] for line in listed.splitlines() if line.startswith(f"{name}-"))


def links() -> str:
    """This machine's own interfaces."""
    return subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def name() -> Iterator[str]:
    """A name whose lab is removed in the end, however it was left."""
    yield NAME
    for namespace in ours():
        namespaces.delete(namespace)


@pytest.mark.parametrize("bad", ["", "7", "a b", "../x", "-x", "x" * 41, "x\n"])
def test_a_name_that_is_no_file_name_is_refused(bad: str) -> None:
    with pytest.raises(BadNameError):
        Lab(bad)


def test_namespaces_are_named_after_lab_and_host() -> None:
    assert Lab().namespace("gateway") == f"{DEFAULT_NAME}-gateway"
    with pytest.raises(UnknownHostError, match="client, gateway, server"):
        Lab().namespace("printer")


def test_others_than_root_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for attempt in (Lab().up, Lab().down, Lab().status, partial(Lab().run, "client", ["true"])):
        with pytest.raises(NotRootError):
            attempt()


@pytest.mark.root
def test_up_and_down_leave_nothing_and_touch_nothing_else(name: str) -> None:
    before = links()
    lab = Lab(name)
    assert lab.status().absent
    began = time.monotonic()
    assert lab.up() is True
    assert time.monotonic() - began < 1.0
    assert links() == before
    assert ours() == [f"{name}-client", f"{name}-gateway", f"{name}-server"]
    began = time.monotonic()
    assert lab.down() is True
    assert time.monotonic() - began < 0.5
    assert ours() == []
    assert links() == before


@pytest.mark.root
def test_both_are_harmless_when_done_already(name: str) -> None:
    lab = Lab(name)
    assert lab.up() is True
    inode = namespaces.inode(lab.namespace("client"))
    assert lab.up() is False
    assert namespaces.inode(lab.namespace("client")) == inode
    assert lab.down() is True
    assert lab.down() is False


@pytest.mark.root
@pytest.mark.parametrize(("server", "client"), [(SERVER.v4, CLIENT.v4), (SERVER.v6, CLIENT.v6)])
def test_the_gateway_forwards_at_once(name: str, server: str, client: str) -> None:
    # A neighbour or an address that is not ready costs a full second at least, each time; a busy machine not always.
    assert any(first_answer(f"{name}-{attempt}", server, client) < 1.0 for attempt in range(8))


def first_answer(name: str, server: str, client: str) -> float:
    """How many seconds a client's first connection through a new lab takes."""
    with Lab(name) as lab:
        serving = Daemon([*ENDPOINTS, "serve", server, "7"], cwd=ROOT, launch=partial(lab.popen, "server"))
        with serving:
            serving.wait_for("listening")
            began = time.monotonic()
            lab.run("client", [*ENDPOINTS, "probe", server, "7"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            took = time.monotonic() - began
            assert f'"peer": ["{client}"' in serving.wait_for("digest")
    return took


@pytest.mark.root
def test_the_client_reaches_the_gateway_s_far_side(name: str) -> None:
    with Lab(name) as lab:
        for address in (GATEWAY.interfaces[1].v4, GATEWAY.interfaces[1].v6):
            done = lab.run("client", ["ip", "route", "get", address], capture_output=True, text=True)
            assert "dev eth0" in done.stdout


@pytest.mark.root
def test_two_labs_do_not_know_each_other(name: str) -> None:
    with Lab(name) as one, Lab(f"{name}-b") as other:
        sleeping = one.popen("client", ["sleep", "100"])
        other.down()
        assert sleeping.poll() is None
        assert one.status().up


@pytest.mark.root
def test_a_program_has_its_host_its_environment_and_its_exit_status(name: str) -> None:
    with Lab(name) as lab:
        shown = lab.run("server", ["ip", "-brief", "address"], capture_output=True, text=True)
        assert "198.51.100.2/24 2001:db8:2::2/64" in shown.stdout
        assert lab.run("gateway", ["sh", "-c", 'exit "$STATUS"'], env={"STATUS": "7"}).returncode == 7
        with pytest.raises(subprocess.CalledProcessError):
            lab.run("gateway", ["false"], check=True)


@pytest.mark.root
def test_down_ends_what_the_lab_started_and_nothing_else(name: str) -> None:
    lab = Lab(name)
    lab.up()
    started = lab.popen("client", ["sh", "-c", "sleep 100 & exec sleep 100"])
    foreign = subprocess.Popen(["ip", "netns", "exec", lab.namespace("client"), "sleep", "100"])
    try:
        while len(lab.status().hosts[0].processes) < 3:
            time.sleep(0.01)
        assert sorted(process.ours for process in lab.status().hosts[0].processes) == [False, True, True]
        Lab(name).down()
        assert started.wait(1) == -15
        assert foreign.poll() is None
        assert ours() == []
    finally:
        foreign.kill()
        foreign.wait()


@pytest.mark.root
def test_the_context_removes_all_when_something_fails(name: str) -> None:
    class Oops(Exception):  # noqa: N818 - it is no error, it is a test
        pass

    def fail() -> None:
        with Lab(name) as lab:
            lab.popen("server", ["sleep", "100"])
            raise Oops

    with pytest.raises(Oops):
        fail()
    assert ours() == []


@pytest.mark.root
def test_the_context_wants_a_lab_of_its_own(name: str) -> None:
    with Lab(name) as lab:
        with pytest.raises(LabExistsError), Lab(name):
            pass
        assert lab.status().up


@pytest.mark.root
@pytest.mark.parametrize("interruption", [CommandFailedError(command="ip", reason="no"), KeyboardInterrupt()])
def test_a_half_finished_up_is_undone(
    name: str, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise interruption

    monkeypatch.setattr(namespaces, "set_sysctls", fail)
    with pytest.raises(type(interruption)):
        Lab(name).up()
    assert ours() == []


def interrupt(argv: list[str], number: signal.Signals, delay: float) -> None:
    """Start a program, send a signal, twice, to all that belongs to it, as a terminal does, and wait for its end."""
    with subprocess.Popen(argv, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL) as program:
        time.sleep(delay)
        for _ in range(2):
            with suppress(ProcessLookupError):
                os.killpg(program.pid, number)
            time.sleep(0.02)


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1])
def test_an_interrupted_up_leaves_nothing(
    name: str, number: signal.Signals, delay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create_then_signal(namespace: str, mark: str) -> None:
        create(namespace, mark)
        if namespace.endswith("gateway"):
            os.kill(os.getpid(), number)

    create = namespaces.create
    monkeypatch.setattr(namespaces, "create", create_then_signal)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Lab(name).up()
    finally:
        signal.signal(number, before)
    assert ours() == []
    monkeypatch.undo()
    # 0.05 seconds and more go by until it has started to work.
    interrupt([sys.executable, "-c", f"from netsetup.lab import Lab; Lab({name!r}).up()"], number, 0.08 + delay)
    assert ours() == [] or Lab(name).status().up


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("delay", [0.1, 0.15, 0.2])
def test_an_interrupted_down_leaves_nothing_or_all(name: str, number: signal.Signals, delay: float) -> None:
    Lab(name).up()
    interrupt([sys.executable, "-c", f"from netsetup.lab import Lab; Lab({name!r}).down()"], number, delay)
    assert ours() == [] or Lab(name).status().up


@pytest.mark.root
@pytest.mark.parametrize("delay", [0.08, 0.1, 0.12, 0.15, 0.2, 0.25])
def test_what_a_killed_up_leaves_can_be_removed(name: str, delay: float) -> None:
    argv = [sys.executable, "-c", f"from netsetup.lab import Lab; Lab({name!r}).up()"]
    interrupt(argv, signal.SIGKILL, delay)
    Lab(name).down()
    assert ours() == []
    with Lab(name) as lab:
        assert lab.status().up


@pytest.mark.root
def test_a_signal_that_has_to_wait_longer_leaves_the_lab_to_the_context(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wire_then_signal(lab: Lab) -> None:
        wire(lab)
        os.kill(os.getpid(), signal.SIGINT)

    wire = Lab._wire
    monkeypatch.setattr(Lab, "_wire", wire_then_signal)
    with pytest.raises(KeyboardInterrupt), held() as hold, Lab(name) as lab:  # noqa: PT012
        assert lab.status().up
        with hold.released():
            pytest.fail("inside")
    assert ours() == []


@pytest.mark.root
def test_a_wait_that_was_left_at_the_wrong_moment_does_not_hang_the_lab(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "KILL_WAIT", 0.2)
    lab = Lab(name)
    lab.up()
    child = lab.popen("client", ["sleep", "100"])
    lock: threading.Lock = child._waitpid_lock  # type: ignore[attr-defined]
    lock.acquire()
    assert lab.down() is True
    lock.release()
    child.wait()


@pytest.mark.root
def test_a_name_without_namespace_is_removed(name: str) -> None:
    stub = namespaces.RUN_NETNS / f"{name}-gateway"
    stub.touch()
    with pytest.raises(LabIncompleteError, match=f"{name}-gateway"):
        Lab(name).up()
    assert Lab(name).down() is True
    assert not stub.exists()


@pytest.mark.root
def test_programs_of_the_administrator_are_found_in_the_lab(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with Lab(name) as lab:
        assert lab.run("client", ["ip", "link"], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.root
def test_remains_are_named_and_can_be_removed(name: str) -> None:
    lab = Lab(name)
    lab.up()
    namespaces.delete(lab.namespace("gateway"))
    with pytest.raises(LabIncompleteError, match=f"{name}-client, {name}-server"):
        lab.up()
    assert lab.down() is True
    assert ours() == []


@pytest.mark.root
def test_a_namespace_of_somebody_else_is_neither_used_nor_removed(name: str) -> None:
    foreign = f"{name}-server"
    subprocess.run(["ip", "netns", "add", foreign], check=True)
    for attempt in (Lab(name).up, Lab(name).down):
        with pytest.raises(ForeignNamespaceError, match=foreign):
            attempt()
    assert ours() == [foreign]


@pytest.mark.root
def test_nothing_runs_on_a_host_of_no_lab(name: str) -> None:
    for start in (Lab(name).run, Lab(name).popen, Lab(name).become):
        with pytest.raises(NoLabError, match=name):
            start("client", ["true"])
