"""Running a program beside a test: its output is captured, waited for, and shown when something fails."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

# A program that takes longer than this to do what was asked is stuck, even on a slow machine under load.
PATIENCE = 15.0

Launch = Callable[..., "subprocess.Popen[Any]"]


class Daemon:
    """A running program. As a context manager, and with `stop`, it ends it and looks for tracebacks in its output.

    `launch` is called as subprocess.Popen is: `functools.partial(lab.popen, "gateway")` runs it on a host of a lab.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        launch: Launch = subprocess.Popen,
    ) -> None:
        self.argv = [str(argument) for argument in argv]
        self._text: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self.stopped = False
        self.process = launch(
            self.argv,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A session of its own: its signals are not ours, and what it leaves behind can be found and ended.
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.kill()

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    @property
    def output(self) -> str:
        """All that it has written so far, standard output and error together."""
        with self._changed:
            return "".join(self._text)

    def count(self, text: str) -> int:
        """In how many lines of the output the text stands."""
        return sum(text in line for line in self.output.splitlines())

    def wait_for(self, text: str, *, times: int = 1, timeout: float = PATIENCE) -> str:
        """Wait until `times` lines contain the text; return the last of them. Fails if the program ends without."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                lines = [line for line in "".join(self._text).splitlines() if text in line]
                if len(lines) >= times:
                    return lines[times - 1]
                left = deadline - time.monotonic()
                if self._ended or left <= 0:
                    reason = "it ended" if self._ended else f"{timeout} s passed"
                    raise AssertionError(f"{text!r} x {times} was not written, {reason}:\n{self._told()}")
                self._changed.wait(left)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program's first process."""
        self.process.send_signal(number)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for it to end by itself; return the exit status (negative: the signal)."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end in {timeout} s:\n{self._told()}") from None
        self._reader.join(1.0)
        return int(status)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """End it and return its exit status. Fails if it does not end, or if its output has a traceback."""
        if not self.stopped:
            self.stopped = True
            try:
                if self.running:
                    self.send(number)
                self.wait(timeout)
            finally:
                self.kill()
            assert "Traceback (most recent call last)" not in self.output, self._told()
        return int(self.process.returncode)

    def kill(self) -> None:
        """End it and all that it left behind in its session, at once and without looking at what it wrote."""
        self.stopped = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)
        self._reader.join(1.0)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self._text.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _told(self) -> str:
        return f"$ {' '.join(self.argv)}\n{''.join(self._text)}"
