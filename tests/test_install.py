"""The documented install, into a directory that stands for /: and what it puts there, in use."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import needs, servers
from tests.support.daemon import PATIENCE, Daemon
from tests.support.servers import Server
from tests.support.tunnels import ROOT

pytestmark = pytest.mark.root

CAPTURED: Any = {"capture_output": True, "text": True, "timeout": PATIENCE * 3}
UNITS = "usr/local/lib/systemd/system"


class Installed:
    """A machine on which gtunnel was installed on the distribution's packages."""

    def __init__(self, directory: Path) -> None:
        self.root, self.prefix = directory / "root", directory / "opt"
        (self.root / "etc").mkdir(parents=True)
        for name in ("passwd", "group"):
            shutil.copy(f"/etc/{name}", self.root / "etc" / name)

    def install(self, *options: str) -> "subprocess.CompletedProcess[str]":
        """Run tools/install."""
        argv: list[str | Path] = [ROOT / "tools/install", *options, "--prefix", self.prefix, "--root", self.root]
        return subprocess.run(argv, check=False, **CAPTURED)

    @property
    def gtunnel(self) -> Path:
        """The program."""
        return self.prefix / "bin" / "gtunnel"

    def files(self) -> set[str]:
        """What is there but what was there before."""
        found = (path.relative_to(self.root) for path in self.root.rglob("*") if not path.is_dir())
        return {str(path) for path in found if str(path.parent) != "etc"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    if subprocess.run(["/usr/bin/python3", "-c", "import gevent, OpenSSL, pyroute2"], check=False).returncode != 0:
        pytest.skip("needs the distribution's packages (tools/install-packages debian)")
    machine = Installed(tmp_path_factory.mktemp("machine"))
    done = machine.install("--debian")
    assert done.returncode == 0, done.stderr
    assert "systemctl enable --now gtunnel" in done.stdout
    return machine


def test_what_is_installed_works_from_anywhere(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "gtunnel").mkdir()
    (tmp_path / "gtunnel" / "__init__.py").write_text("raise SystemExit('not this one')")
    for program in (installed.gtunnel, installed.root / "usr/local/sbin/gtunnel"):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        done = subprocess.run([program, "--version"], cwd=tmp_path, env=environment, check=False, **CAPTURED)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("gtunnel ")


def test_programs_can_be_told_who_the_client_is(installed: Installed) -> None:
    assert (installed.prefix / "lib/gtunnel/preload/peername.so").exists()
    assert "gtunnel3" in {path.name for path in (installed.root / "usr/local/sbin").iterdir()}


def test_the_units_are_what_systemd_takes(installed: Installed) -> None:
    units = installed.root / UNITS
    commands = {"gtunnel": "run --foreground", "gtunnel-netsetup": "netsetup apply"}
    for name, command in commands.items():
        one, each = ((units / f"{name}{at}.service").read_text() for at in ("", "@"))
        assert f"ExecStart={installed.prefix}/bin/gtunnel {command} /etc/gtunnel/gtunnel.conf\n" in one
        assert f"ExecStart={installed.prefix}/bin/gtunnel {command} /etc/gtunnel/%i.conf\n" in each
        assert "@BIN@" not in one + each
        # What they may do is the same.
        assert one[one.index("# ", one.index("ExecReload")) :] == each[each.index("# ", each.index("ExecReload")) :]
        # Of templates systemd wants an instance.
        shutil.copy(units / f"{name}@.service", units / f"{name}@mail.service")
    names = [f"{name}{at}.service" for name in commands for at in ("", "@mail")]
    for name in names:
        done = subprocess.run(
            [needs.program("systemd-analyze"), "verify", "--man=no", units / name], check=False, **CAPTURED
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for name in commands:
        (units / f"{name}@mail.service").unlink()


def test_the_user_and_the_directories_are_made(installed: Installed) -> None:
    accounts = (installed.root / "etc/passwd").read_text().splitlines()
    (account,) = (line.split(":") for line in accounts if line.startswith("gtunnel:"))
    assert account[5:] == ["/nonexistent", "/usr/sbin/nologin"]
    for path, mode in (("run/gtunnel/control", 0o755), ("var/log/gtunnel", 0o750)):
        status = (installed.root / path).stat()
        assert (status.st_uid, status.st_mode & 0o777) == (int(account[2]), mode)
    assert (installed.root / "etc/gtunnel").is_dir()


@pytest.fixture
def logging(installed: Installed, server: Callable[..., Server], tmp_path: Path) -> Iterator[tuple[Daemon, Path]]:
    """The installed program with a log in a file, and the file."""
    log, file = tmp_path / "log" / "it.log", tmp_path / "it.conf"
    log.parent.mkdir()
    file.write_text(
        f"foreground = no\noutput = {log}\nsyslog = no\npid =\nworkers = 1\ncontrol = {tmp_path}/control\n"
        f"[it]\nclient = yes\naccept = 127.0.0.1:0\nconnect = {server(servers.hang).endpoint}\n"
    )
    daemon = Daemon([str(installed.gtunnel), "run", "--foreground", str(file)])
    try:
        deadline_file(log)
        yield daemon, log
    finally:
        daemon.stop()


def deadline_file(log: Path) -> None:
    """Wait until a gtunnel accepts connections, which its log says."""
    for _ in range(int(PATIENCE * 20)):
        if log.exists() and "Configuration successful" in log.read_text():
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise TimeoutError(log)


def test_logrotate_renames_the_log_and_lines_go_to_a_new_one(
    installed: Installed, logging: tuple[Daemon, Path], tmp_path: Path
) -> None:
    daemon, log = logging
    text = (installed.root / "etc/logrotate.d/gtunnel").read_text()
    assert f"{installed.gtunnel} reopen --all" in text
    text = text.replace("/var/log/gtunnel/*.log", str(log)).replace("gtunnel gtunnel", "root root")
    text = text.replace("reopen --all", f"reopen {daemon.argv[-1]}")
    (tmp_path / "rotate.conf").write_text(text)
    program = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "logrotate is not installed: tools/install-packages run test"
    argv = [program, "--force", "--state", str(tmp_path / "state"), str(tmp_path / "rotate.conf")]
    done = subprocess.run(argv, check=False, **CAPTURED)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Configuration successful" in log.with_name("it.log.1").read_text()
    assert "Log file reopened" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o640


def test_what_was_installed_can_be_replaced_and_removed(installed: Installed, tmp_path: Path) -> None:
    machine = Installed(tmp_path)
    assert machine.install("--debian").returncode == 0
    (machine.root / "etc/gtunnel/gtunnel.conf").write_text("; mine\n")
    assert machine.install("--debian").returncode == 0
    assert machine.files() == installed.files() | {"etc/gtunnel/gtunnel.conf"}
    done = machine.install("--remove")
    assert done.returncode == 0
    assert machine.files() == {"etc/gtunnel/gtunnel.conf"}
    assert not machine.prefix.exists()


def test_a_directory_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    machine = Installed(tmp_path)
    machine.prefix.mkdir()
    (machine.prefix / "precious").touch()
    done = machine.install("--debian")
    assert done.returncode == 1
    assert "is not ours" in done.stderr
    machine.install("--remove")
    assert (machine.prefix / "precious").exists()
