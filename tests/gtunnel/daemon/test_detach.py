"""Going to the background: the exit status of the first process is that of the start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.gtunnel.daemon.watching import soon

DETACH = "import json, os, signal, sys, time\nfrom gtunnel.daemon.detach import detach\n"


def run(script: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run the script; returns when the first process has ended and nobody holds its output any more."""
    argv = [sys.executable, "-c", DETACH + script, *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)


def test_a_start_that_worked_is_status_0() -> None:
    assert run("detach().ready(); os._exit(7)").returncode == 0


@pytest.mark.parametrize(
    "failure",
    ["os._exit(0)", "sys.exit(0)", "raise ValueError", "os.kill(os.getpid(), signal.SIGKILL)", "detached.release()"],
)
def test_a_start_that_did_not_is_status_1(failure: str) -> None:
    assert run(f"detached = detach(); {failure}").returncode == 1


def test_the_first_process_waits_for_the_outcome(tmp_path: Path) -> None:
    script = "detached = detach(); time.sleep(0.3); open(sys.argv[1], 'w').close(); detached.ready()"
    assert run(script, tmp_path / "started").returncode == 0
    assert (tmp_path / "started").exists()


def test_the_daemon_can_complain_until_it_is_ready() -> None:
    done = run("detached = detach(); print('no luck', file=sys.stderr, flush=True); os._exit(1)")
    assert (done.returncode, done.stderr) == (1, "no luck\n")


def test_afterwards_it_has_let_go_of_the_terminal(tmp_path: Path) -> None:
    script = """
detached = detach()
first = os.listdir("/proc/self/fd")
detached.ready()
detached.release()
print("nobody reads this")
print("nor this", file=sys.stderr)
ids = [os.getpid(), os.getpgid(0), os.getsid(0)]
links = [os.readlink(f"/proc/self/fd/{n}") for n in (0, 1, 2)]
with open(sys.argv[1] + ".new", "w") as file:
    json.dump([ids, links, len(os.listdir("/proc/self/fd")) - 1], file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
"""
    done = run(script, tmp_path / "told")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert soon((tmp_path / "told").exists)
    ids, links, descriptors = json.loads((tmp_path / "told").read_text())
    pid, group, session = ids
    assert pid != session  # not the leader: no terminal can become ours
    assert group == session != os.getsid(0)
    assert links == ["/dev/null"] * 3
    assert descriptors == 4  # the three, and the file it writes


def test_a_copy_in_a_worker_does_not_keep_the_first_process_waiting() -> None:
    script = """
detached = detach()
if os.fork() == 0:
    detached.release()
    time.sleep(3)
    os._exit(0)
os._exit(1)
"""
    began = time.monotonic()
    assert run(script).returncode == 1
    assert time.monotonic() - began < 2.5


def test_it_goes_on_when_nobody_waits_any_more(tmp_path: Path) -> None:
    script = """
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
first = os.getpid()
detached = detach()
os.kill(first, signal.SIGKILL)
while os.path.exists(f"/proc/{first}") and "Z" not in open(f"/proc/{first}/stat").read().split(")")[1][:3]:
    time.sleep(0.01)
detached.ready()
open(sys.argv[1], "w").close()
"""
    assert run(script, tmp_path / "going").returncode == -signal.SIGKILL
    assert soon((tmp_path / "going").exists)
