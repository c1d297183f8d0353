"""From a configuration to a running daemon, as a shell sees it: exit status, standard error, and what is left."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gtunnel.daemon.watching import alive, children, served, soon
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE, Daemon
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, Tunnels

PortFactory = Callable[[], int]
ENVIRONMENT = {**os.environ, **GTUNNEL_ENVIRONMENT}


def service(port: int | str) -> str:
    """A client service."""
    endpoint = port if isinstance(port, str) else f"127.0.0.1:{port}"
    return f"[it]\nclient = yes\naccept = {endpoint}\nconnect = 127.0.0.1:1\n"


class Background:
    """gtunnel with `foreground = no` in a directory of its own, whose daemons are ended with the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.pid_file, self.log = directory / "pid", directory / "log"

    def __call__(self, configuration: str, **options: object) -> "subprocess.CompletedProcess[str]":
        """`gtunnel FILE` to its end. Who holds its output longer than that makes this time out."""
        file = self.directory / "x.conf"
        file.write_text(f"syslog = no\noutput = {self.log}\npid = {self.pid_file}\nworkers = 2\n{configuration}")
        argv: list[str | Path] = [*GTUNNEL, file]
        usual: dict[str, Any] = {"capture_output": True, "text": True, "timeout": PATIENCE, "env": ENVIRONMENT}
        return subprocess.run(argv, check=False, **{**usual, **options})

    @property
    def pid(self) -> int:
        """The daemon's."""
        return int(self.pid_file.read_text())

    def end(self) -> None:
        """End the daemon, if there is one, and wait for it."""
        if self.pid_file.exists() and self.pid_file.read_text():
            pid = self.pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            assert soon(lambda: not alive(pid))


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    """`background(text)`: start gtunnel as a daemon."""
    running = Background(tmp_path)
    yield running
    running.end()


def test_status_0_means_that_it_accepts_connections(background: Background, free_port: PortFactory) -> None:
    port = free_port()
    done = background(service(port))
    assert served(port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert alive(background.pid)
    assert "LOG5[ui]: Configuration successful" in background.log.read_text()


def test_it_stops_and_takes_its_pid_file_and_sockets_along(
    background: Background, free_port: PortFactory, tmp_path: Path
) -> None:
    port, path = free_port(), tmp_path / "sock"
    background(service(port) + service(str(path)).replace("[it]", "[unix]"))
    assert path.is_socket()
    background.end()
    assert not background.pid_file.exists()
    assert not path.exists()
    assert not served(port)
    assert background.log.read_text().endswith("LOG5[ui]: Terminated\n")


def test_two_on_one_port_the_second_says_so_and_leaves_the_first_alone(
    background: Background, gtunnel: Tunnels, free_port: PortFactory
) -> None:
    port = free_port()
    background(service(port))
    text = gtunnel.refuse(service(port))
    assert f"[!] Binding service [it] failed: bind: 127.0.0.1:{port}: Address already in use (98)" in text
    pid = background.pid
    again = background(service(port))
    assert again.returncode == 1
    assert "Address already in use" in again.stderr
    assert background.pid == pid
    assert served(port)


@pytest.mark.parametrize("foreground", ["yes", "quiet", "no"])
@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("nonsense = 1\n", 'x.conf:6: "nonsense = 1": Specified option name is not valid here'),
        ("output = /nowhere/log\n", "Cannot open log file /nowhere/log: No such file or directory (2)"),
        ("pid = /nowhere/pid\n", "Cannot create pid file /nowhere/pid: No such file or directory (2)"),
        ("chroot = /nowhere\n", "chroot = /nowhere: No such file or directory"),
    ],
)
def test_status_1_comes_with_the_reason_on_standard_error(
    background: Background, free_port: PortFactory, lines: str, reason: str, foreground: str
) -> None:
    port, path = free_port(), background.directory / "sock"
    done = background(f"foreground = {foreground}\n{lines}{service(port)}accept = {path}\n")
    assert done.returncode == 1
    assert done.stdout == ""
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not served(port)
    assert not path.exists()
    assert not background.pid_file.exists()


def test_all_that_is_wrong_is_told_at_once(background: Background) -> None:
    done = background(f"{service(1)}verify = 9\nsecurityLevel = 17\n")
    assert done.returncode == 1
    assert done.stderr.count("\n[!] ") >= 2
    assert done.stderr.endswith("[!] Configuration failed\n")


def test_signals_reach_it_while_it_still_reads() -> None:
    # A terminal, or a pipe that stays silent: nobody has to look for SIGKILL.
    for number in (signal.SIGINT, signal.SIGTERM):
        receive, send = os.pipe()
        with os.fdopen(receive), os.fdopen(send, "w"):
            argv = [*GTUNNEL, "-fd", "0"]
            with subprocess.Popen(argv, stdin=receive, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
                assert soon(lambda pid=process.pid: _reads(pid))  # type: ignore[misc]
                process.send_signal(number)
                assert process.wait(5) == (130 if number == signal.SIGINT else -number)
                assert process.stderr is not None
                assert b"Traceback" not in process.stderr.read()


def _reads(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "pipe_read" in Path(f"/proc/{pid}/wchan").read_text() or Path(
            f"/proc/{pid}/syscall"
        ).read_text().startswith("0 0x0")
    return False


def test_it_hears_of_its_workers_even_if_sigchld_was_ignored_by_its_parent(
    daemon: Callable[..., Daemon], tmp_path: Path, free_port: PortFactory
) -> None:
    file = tmp_path / "x.conf"
    file.write_text(f"foreground = yes\nsyslog = no\npid =\nworkers = 1\ndebug = 7\n{service(free_port())}")
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    running = daemon([sys.executable, "-c", ignoring, *GTUNNEL, file], env=GTUNNEL_ENVIRONMENT)
    running.wait_for("Accepting new connections")
    (worker,) = children(running.pid)
    os.kill(worker, signal.SIGKILL)
    running.wait_for(f"Worker {worker} died (signal 9)")


@pytest.mark.root
def test_it_runs_as_somebody_else_with_what_root_opened(
    background: Background, pki: Pki, free_port: PortFactory
) -> None:
    port = free_port()
    # The key is root's, and nobody may not read it: it was read before.
    text = f"[it]\ncert = {pki.server.pem}\naccept = 127.0.0.1:{port}\nconnect = 127.0.0.1:1\n"
    assert background(f"setuid = nobody\nsetgid = nogroup\n{text}").returncode == 0
    for pid in (background.pid, *children(background.pid)):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Gid"].split() == ["65534"] * 4
        assert status["Groups"].split() == ["65534"]
    assert background.log.stat().st_uid == 65534
    assert background.pid_file.stat().st_uid == 65534
    assert served(port)


@pytest.mark.root
def test_a_chroot_holds_the_log_and_the_pid_file_and_serves(tmp_path: Path, free_port: PortFactory) -> None:
    jail, port = tmp_path / "jail", free_port()
    jail.mkdir()
    running = Background(tmp_path)
    text = f"chroot = {jail}\noutput = /log\npid = /pid\nworkers = 2\n{service(port)}"
    (tmp_path / "x.conf").write_text(f"syslog = no\n{text}")
    done = subprocess.run(
        [*GTUNNEL, tmp_path / "x.conf"], capture_output=True, text=True, timeout=PATIENCE, check=False, env=ENVIRONMENT
    )
    running.pid_file = jail / "pid"
    try:
        assert done.returncode == 0, done.stderr
        assert served(port)
        assert os.readlink(f"/proc/{running.pid}/root") == str(jail)  # noqa: PTH115
        # A worker that is born in there has all that it needs.
        victim = min(children(running.pid))
        os.kill(victim, signal.SIGKILL)
        assert soon(lambda: len(children(running.pid)) == 2 and victim not in children(running.pid))
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.recv(1)
    except ConnectionResetError:
        pass  # the target refuses: what matters is that somebody tried
    finally:
        running.end()
    assert "Traceback" not in (jail / "log").read_text()
    assert "accepted connection" in (jail / "log").read_text()


SYSLOG_IN_A_CHROOT = """
set -e
mkdir dev jail
mount -t tmpfs tmpfs dev
mknod -m 666 dev/null c 1 3; mknod -m 666 dev/urandom c 1 9; mknod -m 666 dev/random c 1 8
{python} -c "
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind('dev/log'); s.settimeout(10)
print('listening', flush=True)
text = b''
while b'Accepting' not in text:
    text += s.recv(10000) + b'\\n'
sys.stdout.write(text.decode())
" > lines &
until grep -q listening lines; do sleep 0.05; done
mount --bind dev /dev
"$@" &
wait %1
kill %2
wait %2
"""


@pytest.mark.root
def test_syslog_outlives_a_chroot(tmp_path: Path, free_port: PortFactory) -> None:
    file = tmp_path / "x.conf"
    text = f"chroot = {tmp_path}/jail\nforeground = quiet\npid =\nsyslog = yes\nservice = mine\ndebug = local3.info\n"
    file.write_text(f"{text}workers = 1\n{service(free_port())}")
    script = SYSLOG_IN_A_CHROOT.format(python=sys.executable)
    argv: list[str | Path] = ["unshare", "--mount", "bash", "-c", script, "bash", *GTUNNEL, file]
    done = subprocess.run(argv, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)
    lines = (tmp_path / "lines").read_text()
    assert done.returncode == 0, done.stderr + lines
    # local3 is facility 19: 19 * 8 + 5 (notice), and the line without a time of ours.
    assert "<157>" in lines
    assert ": LOG5[ui]: Configuration successful" in lines
    assert " mine: LOG" in lines


def test_the_terminal_hears_nothing_once_it_runs(background: Background, free_port: PortFactory) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        options = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "capture_output": False, "text": None}
        done = background(service(free_port()), **options, start_new_session=True)
        assert done.returncode == 0
        for number in (0, 1, 2):
            assert os.readlink(f"/proc/{background.pid}/fd/{number}") == "/dev/null"  # noqa: PTH115
        os.close(theirs)
        with pytest.raises(OSError, match="Input/output error"):  # the last to hold the terminal has let go of it
            terminal.read(1)
