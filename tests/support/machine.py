"""A machine that Debian's systemd boots, in namespaces: for units, which nothing else shows to work.

Its root file system is this machine's below a layer in memory (`machine.sh`), its network is empty but for what is made
there, and it ends with this process, however that ends.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import needs
from tests.support.tunnels import ROOT

# In seconds. A boot takes less than one; installing compiles and may fetch packages.
PATIENCE = 60.0
INSTALL_PATIENCE = 300.0

_SCRIPT = Path(__file__).with_name("machine.sh")
_SYSTEMD = Path("/lib/systemd/systemd")
_NAMESPACES = ("--mount", "--pid", "--uts", "--ipc")
_CLONE_NEWNET = 0x40000000
# What `install` needs of the source; a copy, as an administrator has one, and pip builds in it.
_SOURCE = ("gtunnel", "netsetup", "docs", "tools", "pyproject.toml", "setup.py", "README.md", "LICENSE")
SOURCE_THERE = "/usr/src/gtunnel"

Done = subprocess.CompletedProcess[str]


class Machine:
    """Booted on construction; `close` ends it and all of its processes. A context manager. Root only."""

    def __init__(self, directory: Path) -> None:
        """`directory`: an empty one, this machine's alone."""
        for program in ("systemctl", "unshare", "nsenter", "setpriv", "pivot_root"):
            needs.program(program)
        assert _SYSTEMD.exists(), "systemd is not installed: tools/install-packages run test"
        self._directory = directory
        self._mount = directory / "machine"
        self._mount.mkdir()
        self._log = directory / "console"
        # Its control group; systemd sees it as the root of all.
        self.group = f"gtunnel-test-{os.getpid()}-{directory.name}"
        # It dies with this process, even by SIGKILL: `unshare` by the first, all the others by --kill-child.
        argv = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", str(_SCRIPT), str(self._mount)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen([*argv, self.group], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._pid = self._booted()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it at once: nothing in it outlives its first process, and no file of it was on a disk."""
        self._process.kill()
        self._process.wait(PATIENCE)
        remove_group(self._mount, self.group)

    @property
    def console(self) -> str:
        """What systemd said."""
        return self._log.read_text(errors="replace")

    def path(self, path: str) -> Path:
        """A file in it, by a path of this machine's. Links that lead to absolute paths would leave it."""
        return Path(f"/proc/{self._pid}/root{path}")

    def write(self, path: str, text: str, *, group: str = "root", mode: int = 0o644) -> None:
        """Make a file there."""
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)
        self.run("chgrp", group, path)
        self.path(path).chmod(mode)

    def run(self, *argv: str, check: bool = True, timeout: float = PATIENCE, network: bool = True) -> Done:
        """Run a program there to its end; `network` False: on this machine's network."""
        done = subprocess.run(
            self._enter(*argv, network=network), capture_output=True, text=True, check=False, timeout=timeout
        )
        assert not check or done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def systemctl(self, *arguments: str, check: bool = True) -> Done:
        """`systemctl` there. When it fails, the journal is shown."""
        done = self.run("systemctl", "--no-pager", *arguments, check=False)
        if check and done.returncode:
            raise AssertionError(f"systemctl {' '.join(arguments)}: {done.stderr}{self.journal()[-4000:]}")
        return done

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.systemctl("show", "--value", "--property", name, unit).stdout.strip()

    def journal(self, unit: str | None = None) -> str:
        """What a unit, or everybody, has logged."""
        which = [] if unit is None else ["--unit", unit]
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=short-precise", *which).stdout

    def processes(self, unit: str) -> list[int]:
        """The processes of a service, by their ids there; the first is the main one."""
        group = self.show(unit, "ControlGroup")
        assert group, f"{unit} has no processes"
        # From inside: a process is listed by the id that the reader's namespace knows.
        found = [int(line) for line in self.run("cat", f"/sys/fs/cgroup{group}/cgroup.procs").stdout.split()]
        main = int(self.show(unit, "MainPID"))
        return sorted(found, key=lambda pid: (pid != main, pid))

    def status(self, pid: int) -> dict[str, str]:
        """The fields of a process's /proc/PID/status."""
        lines = self.path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @contextlib.contextmanager
    def network(self, name: str | None = None) -> Iterator[None]:
        """Within it, sockets of this thread are made in its network, or in its namespace `name` (ip-netns(8))."""
        there = Path(f"/proc/{self._pid}/ns/net") if name is None else self.path(f"/run/netns/{name}")
        with Path("/proc/thread-self/ns/net").open() as before, there.open() as after:
            _setns(after.fileno())
            try:
                yield
            finally:
                _setns(before.fileno())

    def install(self, *, debian: bool) -> None:
        """As docs/install.md has it: the programs in /opt/gtunnel, the units, the user, the directories."""
        for name in _SOURCE:
            source, target = ROOT / name, self.path(SOURCE_THERE) / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        script = f"PYTHON=/usr/bin/python3 {SOURCE_THERE}/tools/install {'--debian' if debian else ''}"
        self.run("sh", "-ec", script, timeout=INSTALL_PATIENCE, network=False)

    def _enter(self, *argv: str, network: bool) -> list[str]:
        more = ("--net",) if network else ()
        return ["nsenter", "--target", str(self._pid), *_NAMESPACES, *more, "--wdns=/", "--", *argv]

    def _booted(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the machine did not boot:\n{self.console}"
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            # Before it is systemd, the root is still this machine's.
            for pid in map(int, children):
                if _command(pid) == "systemd":
                    argv = ["nsenter", "--target", str(pid), *_NAMESPACES, "--", "systemctl", "is-system-running"]
                    done = subprocess.run(argv, check=False, capture_output=True, text=True)
                    if done.stdout.strip() == "running":
                        return pid
                    assert done.stdout.strip() != "degraded", f"a unit failed at boot:\n{self.console}"
            time.sleep(0.05)
        raise AssertionError(f"the machine did not boot in {PATIENCE} s:\n{self.console}")


def remove_group(mount: Path, group: str) -> None:
    """Remove a machine's control group. `mount`: an empty directory."""
    script = 'mount -t cgroup2 cgroup2 "$1"; [ ! -e "$1/$2" ] || find "$1/$2" -depth -type d -exec rmdir {} +'
    argv = ["unshare", "--mount", "sh", "-ec", script, "sh", str(mount), group]
    # Its processes are gone a moment after the first.
    deadline = time.monotonic() + PATIENCE
    while (done := subprocess.run(argv, check=False, capture_output=True, text=True)).returncode:
        assert time.monotonic() < deadline, f"the control group {group} is not empty: {done.stderr}"
        time.sleep(0.1)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _setns(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
