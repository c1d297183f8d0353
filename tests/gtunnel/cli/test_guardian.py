"""The guardian: it applies, it removes, and it removes also when nobody tells it to. The kernel is a stand-in here."""

import json
import socket
import syslog
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gtunnel.cli import guardian, plaindata
from gtunnel.cli.guardian import Guardian
from netsetup import api
from netsetup.errors import CollisionError, LockError, NetsetupError
from netsetup.model import Request
from netsetup.steps import SysctlStep

STEP = SysctlStep(path="net/ipv4/x", before="0", after="1")


class FakeKernel:
    """Holds an instance or not, as netsetup's API would find it."""

    def __init__(self) -> None:
        self.held = False
        self.calls: list[str] = []
        self.failures: list[NetsetupError] = []

    def apply(self, request: Request) -> Any:
        self.calls.append(f"apply {request.instance}")
        self._fail()
        self.held = True
        return SimpleNamespace(steps=(STEP,), notes=("noted",), warnings=("warned",))

    def plan(self, request: Request) -> None:
        self.calls.append(f"plan {request.instance}")
        self._fail()

    def destroy(self, instance: str, *, dry_run: bool = False) -> Any:
        if not dry_run:
            self.calls.append(f"destroy {instance}")
            self._fail()
        steps = (STEP,) if self.held else ()
        self.held = self.held and dry_run
        return SimpleNamespace(steps=steps)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    fake = FakeKernel()
    monkeypatch.setattr(api, "apply", fake.apply)
    monkeypatch.setattr(api, "destroy", fake.destroy)
    monkeypatch.setattr(api, "plan", fake.plan)
    monkeypatch.setattr(guardian, "PAUSE_SECONDS", 0.0)
    return fake


class Client:
    """Who talks to it."""

    def __init__(self) -> None:
        self.end, theirs = socket.socketpair()
        self.end.settimeout(10)
        self.thread = threading.Thread(target=Guardian().serve, args=(theirs,), daemon=True)
        self.thread.start()

    def say(self, line: bytes) -> dict[str, Any]:
        self.end.sendall(line + b"\n")
        answer: dict[str, Any] = json.loads(self.end.recv(65536))
        return answer

    def apply(self, instance: str = "gtunnel", do: str = "apply") -> dict[str, Any]:
        request = plaindata.encode(Request(interceptions=(), instance=instance))
        return self.say(json.dumps({"do": do, "request": request}).encode())

    def remove(self) -> dict[str, Any]:
        return self.say(b'{"do": "remove"}')

    def leave(self) -> None:
        self.end.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def client(kernel: FakeKernel) -> Iterator[Client]:
    assert not kernel.held
    client = Client()
    yield client
    client.leave()


def test_what_was_applied_goes_when_nobody_is_there_any_more(client: Client, kernel: FakeKernel) -> None:
    assert client.apply() == {"done": True, "notes": ["noted"], "warnings": ["warned"], "steps": list(STEP.lines())}
    assert client.apply()["done"]
    assert kernel.held
    client.leave()
    assert not kernel.held
    assert kernel.calls == ["apply gtunnel", "apply gtunnel", "destroy gtunnel"]


def test_a_look_changes_nothing(client: Client, kernel: FakeKernel) -> None:
    assert client.apply(do="check") == {"done": True, "notes": [], "warnings": [], "steps": []}
    kernel.failures = [CollisionError(what="x", owner="y", instead="z")]
    assert not client.apply(do="check")["done"]
    kernel.held = True
    assert "`gtunnel netsetup apply` has set up" in client.apply(do="check")["reason"]
    client.leave()
    assert kernel.calls == ["plan gtunnel", "plan gtunnel"]
    assert kernel.held


def test_what_was_removed_is_not_removed_again(client: Client, kernel: FakeKernel) -> None:
    client.apply()
    assert client.remove() == {"done": True, "notes": [], "warnings": [], "steps": list(STEP.lines())}
    assert client.remove() == {"done": True, "notes": [], "warnings": [], "steps": []}
    client.leave()
    assert kernel.calls == ["apply gtunnel", "destroy gtunnel"]


def test_what_somebody_else_has_applied_is_left_alone(client: Client, kernel: FakeKernel) -> None:
    kernel.held = True
    answer = client.apply()
    assert not answer["done"]
    assert "`gtunnel netsetup apply` has set up" in answer["reason"]
    assert client.remove()["done"]
    client.leave()
    assert kernel.held
    assert kernel.calls == []


def test_a_first_apply_that_fails_leaves_nothing_to_remove(client: Client, kernel: FakeKernel) -> None:
    kernel.failures = [CollisionError(what="x", owner="y", instead="z")]
    assert client.apply() == {"done": False, "reason": "x is taken by something that is not ours (y); z"}
    client.leave()
    assert kernel.calls == ["apply gtunnel"]


def test_a_later_one_that_fails_leaves_the_first_to_be_removed(client: Client, kernel: FakeKernel) -> None:
    client.apply()
    kernel.failures = [CollisionError(what="x", owner="y", instead="z")]
    assert not client.apply()["done"]
    assert client.apply("other") == {
        "done": False,
        "reason": "a reload cannot change the instance's name: restart",
    }
    client.leave()
    assert not kernel.held


def test_removing_is_tried_again(
    client: Client, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda _, text: told.append(text))
    client.apply()
    locked = LockError(path="/run/x", seconds="30")
    kernel.failures = [locked, locked]
    client.leave()
    assert not kernel.held
    assert len(told) == 2
    assert all("/run/x is still held" in text for text in told)


def test_when_it_cannot_be_removed_at_all_it_is_said_what_to_do(
    client: Client, kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda _, text: told.append(text))
    client.apply()
    kernel.failures = [LockError(path="/run/x", seconds="30")] * guardian.TRIES
    client.leave()
    assert told[-1].endswith("run `gtunnel netsetup destroy`")
    assert len(told) == guardian.TRIES


def test_what_is_to_be_run_names_what_is_meant(client: Client, kernel: FakeKernel) -> None:
    kernel.held = True
    assert "run `gtunnel netsetup destroy` before" in client.apply()["reason"]
    assert "run `gtunnel netsetup destroy --name other` before" in client.apply("other")["reason"]
    kernel.held = False


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"7", b'{"do": "exec"}', b'{"do": []}', b'{"do": "apply", "request": {}}', b"\xff"]
)
def test_nonsense_is_answered_and_changes_nothing(client: Client, kernel: FakeKernel, line: bytes) -> None:
    client.apply()
    assert not client.say(line)["done"]
    assert kernel.held
    assert client.remove()["done"]
