"""kill -9 at every step of apply and destroy, with either backend: everything can be undone, or completed."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netsetup import api
from netsetup.model import Backend, Request
from tests.netsetup.rich import RICH
from tests.netsetup.world import ROOT, World

pytestmark = pytest.mark.root

KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from netsetup import apply, operations
from netsetup.kernel import namespace
from netsetup.model import Backend
from tests.netsetup.rich import RICH

what, backend, netns, directory, after, when = sys.argv[1:]
perform = apply.Executor._perform
count = 0

def dying(self, step):
    global count
    count += 1
    if when == "before" and count == int(after):
        os.kill(os.getpid(), signal.SIGKILL)
    perform(self, step)
    if when == "after" and count == int(after):
        os.kill(os.getpid(), signal.SIGKILL)

apply.Executor._perform = dying
namespace.enter(netns)
if what == "apply":
    operations.apply(replace(RICH, backend=Backend(backend)), Path(directory))
else:
    operations.destroy("gtunnel", Path(directory))
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as built:
        yield built


@pytest.fixture(params=[Backend.NFTABLES, Backend.IPTABLES], ids=lambda backend: str(backend.value))
def wanted(request: pytest.FixtureRequest) -> Request:
    """Everything at once, with each backend."""
    return replace(RICH, backend=request.param)


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
        return len(api.apply(self._wanted, self._world.gateway, directory=self._directory).steps)

    def destroy(self) -> int:
        """Destroy; how many steps it took."""
        return len(api.destroy("gtunnel", self._world.gateway, directory=self._directory).steps)

    def killed(self, what: str, after: int, when: str) -> None:
        """Run it, and kill it before or after a step; 0 is never, which is for `started`."""
        process = self.started(what, after, when)
        _, said = process.communicate()
        assert process.returncode == -signal.SIGKILL, said

    def started(self, what: str, after: int = 0, when: str = "never") -> "subprocess.Popen[str]":
        """Run it in a process of its own."""
        more = [self._wanted.backend.value, self._world.gateway, str(self._directory), str(after), when]
        argv = [sys.executable, "-c", KILLED, what, *more]
        return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


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
    kernel.apply()
    steps = kernel.destroy()
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
    kernel.started("destroy").communicate()
    lasts = time.monotonic() - started
    for _ in range(6):
        if what == "destroy":
            kernel.apply()
        process = kernel.started(what)
        moment = lasts * (0.4 + 0.6 * random.random())
        time.sleep(moment)
        process.kill()
        process.communicate()
        kernel.destroy()
        assert kernel.now == kernel.before, f"killed after {moment:.3f} s"
