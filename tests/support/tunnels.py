"""gtunnel and Debian's stunnel4 behind one interface: the same configuration, the same case, both programs."""

import itertools
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support import needs
from tests.support.daemon import PATIENCE, Daemon, Launch

ROOT = Path(__file__).resolve().parent.parent.parent
READY = "Accepting new connections"
# Before the test's own text. A later line of the same option wins in neither program: do not repeat these.
PREAMBLE = """\
foreground = yes
pid =
syslog = no
debug = debug
"""

# Works wherever the tests run, with gtunnel installed or not.
GTUNNEL = [sys.executable, "-c", "import sys; from gtunnel.cli.main import entry; sys.exit(entry())"]
GTUNNEL_ENVIRONMENT = {"PYTHONPATH": str(ROOT)}


class Tunnels:
    """Starts one program's tunnels for one test, and ends them. `kind` is "gtunnel" or "stunnel4"."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self._directory = directory
        self._running: list[Daemon] = []
        self._numbers = itertools.count(1)

    def __call__(
        self, conf: str, *, preamble: str = PREAMBLE, ready: str = READY, launch: Launch = subprocess.Popen
    ) -> Daemon:
        """Start a tunnel with this configuration and wait until it accepts connections."""
        daemon = self.start(conf, preamble=preamble, launch=launch)
        daemon.wait_for(ready)
        return daemon

    def start(self, conf: str, *, preamble: str = PREAMBLE, launch: Launch = subprocess.Popen) -> Daemon:
        """Start a tunnel without waiting for anything: for those that are to fail."""
        path = self.configuration(conf, preamble=preamble)
        daemon = Daemon(self.argv(path), cwd=self._directory, env=GTUNNEL_ENVIRONMENT, launch=launch)
        self._running.append(daemon)
        return daemon

    def refuse(self, conf: str, *, preamble: str = PREAMBLE) -> str:
        """Start a tunnel that must not start: it ends by itself with status 1. Returns what it wrote."""
        daemon = self.start(conf, preamble=preamble)
        status = daemon.wait()
        assert status == 1, f"exit status {status}:\n{daemon.output}"
        daemon.stop()
        return daemon.output

    def configuration(self, conf: str, *, preamble: str = PREAMBLE) -> Path:
        """Write a configuration file and return its path."""
        path = self._directory / f"{self.kind}-{next(self._numbers)}.conf"
        path.write_text(preamble + conf)
        return path

    def argv(self, *arguments: str | Path) -> Sequence[str | Path]:
        """The command line of the program with these arguments."""
        return [*GTUNNEL, *arguments] if self.kind == "gtunnel" else [needs.program("stunnel4"), *arguments]

    def run(self, *arguments: str | Path, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Run the program to its end with these arguments and capture what it writes."""
        return subprocess.run(
            self.argv(*arguments),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            input=stdin,
            env={**os.environ, **GTUNNEL_ENVIRONMENT},
            cwd=self._directory,
        )

    def close(self, *, failed: bool = False) -> None:
        """End all of them. Looks for tracebacks in what they wrote, unless the test has failed anyhow."""
        problems = []
        for daemon in reversed(self._running):
            try:
                if failed:
                    daemon.kill()
                else:
                    daemon.stop()
            except AssertionError as problem:
                problems.append(problem)
        self._running.clear()
        if problems:
            raise problems[0]

    @property
    def outputs(self) -> str:
        """What all of them wrote: pytest shows it when a test fails."""
        return "\n".join(f"--- {self.kind}, process {daemon.pid}\n{daemon.output}" for daemon in self._running)
