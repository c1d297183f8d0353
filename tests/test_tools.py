"""The shell scripts behind `make`: with stand-ins for Debian's programs, so that nothing is really installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tunnels import ROOT


class Machine:
    """A directory of stand-in programs that comes first in PATH, and what they were called with."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls = directory / "calls"
        self.calls.touch()
        self.policy = directory / "policy-rc.d"

    def program(self, name: str, script: str) -> None:
        """Put a stand-in there: it notes its call, then runs `script`."""
        path = self.directory / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.calls}\n{script}\n')
        path.chmod(0o755)

    def run(self, *argv: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the repository's scripts."""
        environment = {**os.environ, "PATH": f"{self.directory}:{os.environ['PATH']}", "POLICY_RC_D": str(self.policy)}
        return subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def called(self, name: str) -> list[str]:
        """How a stand-in was called."""
        lines = self.calls.read_text().splitlines()
        return [line.removeprefix(name).strip() for line in lines if line.startswith(name)]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian on which all but gcc and nginx is installed, and where we are root."""
    machine = Machine(tmp_path)
    machine.program("dpkg-query", 'for last; do :; done; case $last in gcc|nginx) exit 1;; *) echo -n installed;; esac')
    machine.program("id", "echo 0")
    machine.program("apt-get", f'[ "$1" = update ] || test -x {machine.policy}')
    return machine


def test_root_gets_what_is_missing_and_no_service_starts(machine: Machine) -> None:
    done = machine.run("tools/install-packages", "run", "test")
    assert (done.returncode, done.stdout) == (0, "Installing Debian packages: gcc nginx \n")
    assert machine.called("apt-get") == ["install -qq -y --no-install-recommends gcc nginx"]
    assert not machine.policy.exists()


def test_the_administrator_s_own_policy_stays(machine: Machine) -> None:
    machine.policy.write_text("#!/bin/sh\nexit 0\n")
    machine.policy.chmod(0o755)
    assert machine.run("tools/install-packages", "run").returncode == 0
    assert machine.policy.read_text() == "#!/bin/sh\nexit 0\n"


def test_package_lists_are_fetched_only_when_they_are_needed(machine: Machine) -> None:
    machine.program("apt-get", f"[ \"$1\" = update ] || [ $(grep -c '^apt-get install' {machine.calls}) -gt 1 ]")
    assert machine.run("tools/install-packages", "run").returncode == 0
    assert [call.split()[0] for call in machine.called("apt-get")] == ["install", "update", "install"]


def test_a_package_that_cannot_be_had_is_an_error(machine: Machine) -> None:
    machine.program("apt-get", "echo E: no >&2; exit 100")
    done = machine.run("tools/install-packages", "run")
    assert (done.returncode, done.stderr) == (100, "E: no\n")
    assert not machine.policy.exists()


def test_others_than_root_are_told_and_go_on(machine: Machine) -> None:
    machine.program("id", "echo 1000")
    done = machine.run("tools/install-packages", "run")
    assert (done.returncode, done.stdout) == (0, "Not installed, as only root can do it: gcc \n")
    assert machine.called("apt-get") == []


def test_nothing_missing_is_nothing_said(machine: Machine) -> None:
    machine.program("dpkg-query", "echo -n installed")
    done = machine.run("tools/install-packages", "run", "test")
    assert (done.returncode, done.stdout, machine.called("apt-get")) == (0, "", [])


def test_an_old_python_is_refused_with_the_way_out(tmp_path: Path) -> None:
    done = Machine(tmp_path).run("tools/make-venv", "/bin/false", str(tmp_path / "venv"))
    assert done.returncode == 1
    assert "gtunnel needs Python 3.11 or newer" in done.stderr


@pytest.mark.parametrize(
    ("extras", "works", "asked"),
    [
        (["iptables", "test"], True, [".[iptables,test]"]),
        (["iptables", "test"], False, [".[iptables,test]", ".[test]"]),
        (["iptables"], False, [".[iptables]", "."]),
    ],
)
def test_without_a_compiler_gtunnel_is_installed_without_iptables(
    tmp_path: Path, extras: list[str], works: bool, asked: list[str]
) -> None:
    machine = Machine(tmp_path)
    machine.program("python", f"case $* in *iptables*) exit {0 if works else 1};; esac")
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").symlink_to(tmp_path / "python")
    done = machine.run("tools/make-venv", "python3", str(tmp_path / "venv"), *extras)
    assert done.returncode == 0
    assert [call.split()[-1] for call in machine.called("python")] == asked
    assert ("Everything else works" in done.stdout) is not works


def test_a_python_that_cannot_run_gtunnel_is_told_apart_from_a_failure(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.program("python", "echo \"ModuleNotFoundError: No module named 'gevent'\" >&2; exit 1")
    done = machine.run("tools/make-venv-debian", str(tmp_path / "python"), str(tmp_path / "venv"), "test")
    assert done.returncode == 3
    assert "No module named 'gevent'\n" in done.stdout
    assert "tools/install-packages debian" in done.stdout
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(("arguments", "pips"), [([], 0), (["test"], 1)])
def test_an_environment_on_the_distribution_s_packages_runs_this_source(
    tmp_path: Path, arguments: list[str], pips: int
) -> None:
    venv = tmp_path / "venv"
    machine = Machine(tmp_path)
    (venv / "bin").mkdir(parents=True)
    script = f'case "$*" in *purelib*) echo {tmp_path};; *sys.executable*) echo {sys.executable};; esac'
    machine.program("python", script)
    (venv / "bin" / "python").symlink_to(tmp_path / "python")
    done = machine.run("tools/make-venv-debian", str(tmp_path / "python"), str(venv), *arguments)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "gtunnel.pth").read_text() == f"{ROOT}\n"
    assert sum("pip install" in call for call in machine.called("python")) == pips
    version = subprocess.run(
        [venv / "bin" / "gtunnel", "--version"], capture_output=True, text=True, check=False, env={"PYTHONPATH": ROOT}
    )
    assert version.stdout.startswith("gtunnel ")


FLAKY = """
from pathlib import Path

def test_sometimes():
    seen = Path("seen")
    again = seen.exists()
    seen.touch()
    assert again

def test_always(): pass
"""


def run_pytest(directory: Path, tests: str) -> "subprocess.CompletedProcess[str]":
    """The script that `make pytest` runs, on tests of its own."""
    (directory / "test_it.py").write_text(tests)
    argv = [str(ROOT / "tools/run-pytest"), sys.executable, "-q", "--rootdir", str(directory), "test_it.py"]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def test_what_fails_once_is_tried_again_and_named(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, FLAKY)
    assert done.returncode == 0, done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "1 passed" in done.stdout.rpartition("The second try")[2]
    assert done.stdout.endswith("passed at the second try:\n    test_it.py::test_sometimes\n")


@pytest.mark.parametrize(
    ("tests", "summary"),
    [
        ("def test_no(): assert False", "1 failed in"),
        ("import nowhere", "1 error in"),
        ("import pytest\n@pytest.mark.parametrize('n', range(20))\ndef test_no(n): assert False", "20 failed in"),
    ],
)
def test_what_fails_twice_or_cannot_be_run_or_is_too_much_fails(tmp_path: Path, tests: str, summary: str) -> None:
    done = run_pytest(tmp_path, tests)
    assert done.returncode != 0
    assert summary in done.stdout
    assert "passed at the second try" not in done.stdout


def test_success_needs_no_second_try(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "def test_yes(): pass")
    assert done.returncode == 0
    assert "second try" not in done.stdout
