"""kill -9 at every step of apply and destroy, with either backend: everything can be undone, or completed."""

import itertools
import os
import random
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netsetup import api, operations
from netsetup.apply import Executor
from netsetup.kernel.namespace import enter
from netsetup.model import Backend, Request
from netsetup.steps import Step
from tests.netsetup.rich import RICH
from tests.netsetup.world import World

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.fixture(params=[Backend.NFTABLES, Backend.IPTABLES], ids=lambda backend: str(backend.value))
def wanted(request: pytest.FixtureRequest) -> Request:
    """Everything at once, with each backend."""
    return replace(RICH, backend=request.param)


def _dying(after: int, when: str) -> Callable[[Executor, Step], None]:
    """`Executor._perform`, but this process is gone before or after a step."""
    perform, count = Executor._perform, itertools.count(1)

    def performed(self: Executor, step: Step) -> None:
        last = next(count) == after
        if last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        perform(self, step)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    return performed


class Kernel:
    """The gateway of a world, and what kills operations on it. `before` is its state, to be had again."""

    def __init__(self, world: World, wanted: Request, directory: Path) -> None:
        self._world, self._wanted, self._directory = world, wanted, directory
        self.before = world.snapshot()

    @property
    def now(self) -> dict[str, str]:
        return self._world.snapshot()

    def apply(self) -> int:
        """Apply; how many steps it took."""
        steps = len(api.plan(self._wanted, self._world.gateway, directory=self._directory).steps)
        self._finish(self._start("apply"))
        return steps

    def destroy(self) -> None:
        """Destroy."""
        self._finish(self._start("destroy"))

    def killed(self, what: str, after: int, when: str) -> None:
        """Run it, and have it kill itself before or after a step."""
        assert os.waitstatus_to_exitcode(self._wait(self._start(what, _dying(after, when)))) == -signal.SIGKILL

    def killed_at(self, what: str, seconds: float) -> None:
        """Run it, and kill it after so long; it may have ended before."""
        child = self._start(what)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        self._wait(child)

    def _start(self, what: str, perform: Callable[[Executor, Step], None] = Executor._perform) -> int:
        """A forked child that does it: all is loaded there already."""
        child = os.fork()
        if child == 0:
            try:
                type.__setattr__(Executor, "_perform", perform)
                enter(self._world.gateway)
                if what == "apply":
                    operations.apply(self._wanted, self._directory)
                else:
                    operations.destroy("gtunnel", self._directory)
            except BaseException:  # noqa: BLE001 - the parent sees the status
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        return child

    def _finish(self, child: int) -> None:
        assert self._wait(child) == 0

    @staticmethod
    def _wait(child: int) -> int:
        return os.waitpid(child, 0)[1]


@pytest.fixture
def kernel(world: World, wanted: Request, tmp_path: Path) -> Iterator[Kernel]:
    one = Kernel(world, wanted, tmp_path)
    yield one
    one.destroy()
    assert one.now == one.before


def test_destroy_restores_all_after_a_crash_at_any_step_of_apply(kernel: Kernel) -> None:
    steps = kernel.apply()
    kernel.destroy()
    for step, when in [(1, "before"), *((step, "after") for step in range(1, steps + 1))]:
        kernel.killed("apply", step, when)
        kernel.destroy()
        assert kernel.now == kernel.before, f"killed {when} step {step}"


def test_apply_completes_what_a_crash_left_half_done(kernel: Kernel) -> None:
    steps = kernel.apply()
    complete = kernel.now
    assert complete != kernel.before
    for step in range(1, steps + 1, 2):
        kernel.destroy()
        kernel.killed("apply", step, "after")
        kernel.apply()
        assert kernel.now == complete, f"killed after step {step}"


def test_destroy_completes_a_destroy_that_crashed(kernel: Kernel) -> None:
    # As many as to apply: each is undone.
    steps = kernel.apply()
    kernel.destroy()
    for step in range(1, steps + 1):
        kernel.apply()
        kernel.killed("destroy", step, "after")
        kernel.destroy()
        assert kernel.now == kernel.before, f"killed after step {step}"


@pytest.mark.parametrize("what", ["apply", "destroy"])
def test_a_crash_at_any_moment_can_be_undone(kernel: Kernel, what: str) -> None:
    """Not between steps, but within them: also while another program is changing the kernel for us."""
    kernel.apply()
    started = time.monotonic()
    kernel.destroy()
    lasts = time.monotonic() - started
    for _ in range(4):
        if what == "destroy":
            kernel.apply()
        moment = lasts * random.random()
        kernel.killed_at(what, moment)
        kernel.destroy()
        assert kernel.now == kernel.before, f"killed after {moment:.3f} s"
