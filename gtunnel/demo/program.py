"""Programs that a demonstration runs: gtunnel itself above all, as a user would run it."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gtunnel.demo.errors import DemoError
from netsetup.lab import held

_ROOT = str(Path(__file__).resolve().parent.parent.parent)
ACCEPTING = "Accepting new connections"
# Seconds. Generous: a loaded virtual machine is no reason to fail.
START_PATIENCE = 20.0
STOP_PATIENCE = 5.0
# Of a program that failed, the end of its output says why.
TAIL_LINES = 15


def python(module: str, function: str) -> tuple[str, ...]:
    """The arguments that run a function of this very gtunnel, installed or not, whatever PATH says.

    -P keeps out what lies around in the current directory.
    """
    code = f"import sys; sys.path.insert(0, {_ROOT!r}); from {module} import {function}; sys.exit({function}())"
    return (sys.executable, "-P", "-c", code)


GTUNNEL = python("gtunnel.cli.main", "entry")

Launch = Callable[..., "subprocess.Popen[Any]"]


class Running:
    """A program in the background, its output in a file. A context manager that starts and ends it.

    `name` is what errors call it. `launch` is called as subprocess.Popen is.
    """

    def __init__(self, name: str, argv: Sequence[str], log: Path, launch: Launch = subprocess.Popen) -> None:
        self.name = name
        self._argv = list(argv)
        self._log = log
        self._launch = launch
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> Self:
        try:
            # Between a program's start and knowing it, an interruption would leave it behind.
            with held(), self._log.open("w") as output:
                self._process = self._launch(
                    self._argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                )
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def lines(self) -> list[str]:
        """What it has written so far."""
        return self._log.read_text(errors="replace").splitlines()

    def wait_for(self, text: str) -> str:
        """Wait for a line with this text and return it. Raises `DemoError` if it does not come."""
        deadline = time.monotonic() + START_PATIENCE
        while True:
            ended = self._process is None or self._process.poll() is not None
            for line in self.lines:
                if text in line:
                    return line
            if ended or time.monotonic() > deadline:
                what = "ended too early" if ended else f"did not say {text!r} in {START_PATIENCE:.0f} seconds"
                raise DemoError(what=f"{self.name} {what}. Its last words:", log=tail(self.lines))
            time.sleep(0.02)

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL where that does not help."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def finish(name: str, argv: Sequence[str], run: Callable[..., "subprocess.CompletedProcess[Any]"]) -> str:
    """Run a program to its end and return its output. `run` is called as subprocess.run is. Raises `DemoError`."""
    done = run(list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        what = f"{name} failed with exit status {done.returncode}:"
        raise DemoError(what=what, log=tail(str(done.stdout).splitlines()))
    return str(done.stdout)


def tail(lines: Sequence[str]) -> str:
    """The last lines, indented."""
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
