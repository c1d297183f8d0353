"""Programs: what they begin with, how they are connected, how they end."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic

import gevent
import pytest

from gtunnel.conf.settings import ProgramSettings
from gtunnel.events import Level
from gtunnel.net.errors import SocketError
from gtunnel.net.launch import Launch
from gtunnel.net.program import Program, ProgramError, Programs
from gtunnel.net.programends import ProgramLeg
from gtunnel.net.ptyleg import PtyLeg
from gtunnel.net.waiting import Wakeup
from tests.gtunnel.logs import ListLog
from tests.support.programs import SHOW, shell

PATIENCE = 15.0


class Started:
    """A program, with our end of the connection as a leg that waits."""

    def __init__(self, program: Program, leg: ProgramLeg | PtyLeg, wakeup: Wakeup) -> None:
        self.program = program
        self.leg = leg
        self._wakeup = wakeup
        self._closed = False

    def receive(self, until: bytes) -> bytes:
        buffer, found = memoryview(bytearray(65536)), bytearray()
        self.leg.want(receive=True, send=False)
        while not found.endswith(until):
            count = self.leg.receive(buffer)
            assert count != 0
            if count is None:
                assert self._wakeup.wait(PATIENCE)
            else:
                found += buffer[:count]
        return bytes(found)

    def receive_all(self) -> bytes:
        buffer, found = memoryview(bytearray(65536)), bytearray()
        self.leg.want(receive=True, send=False)
        while True:
            count = self.leg.receive(buffer)
            if count == 0:
                return bytes(found)
            if count is None:
                assert self._wakeup.wait(PATIENCE)
            else:
                found += buffer[:count]

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.leg.close(reset=False)
            self._wakeup.close()


Start = Callable[..., Started]


@pytest.fixture
def log() -> ListLog:
    return ListLog()


@pytest.fixture
def programs() -> Iterator[Programs]:
    found = Programs()
    yield found
    found.end(PATIENCE)


@pytest.fixture
def start(programs: Programs, log: ListLog) -> Iterator[Start]:
    running: list[Started] = []

    def run(*arguments: str, pty: bool = False, aloud: bool = False, **variables: str) -> Started:
        settings = ProgramSettings(path=arguments[0], arguments=arguments, pty=pty)
        launch = Launch(settings=settings, environment=dict(os.environ), aloud=aloud)
        wakeup = Wakeup()
        program, ends = programs.start(launch, variables, log)
        running.append(Started(program, ends.leg(wakeup), wakeup))
        return running[-1]

    yield run
    for started in running:
        started.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline
        gevent.sleep(0.01)


def test_what_it_wrote_comes_and_then_its_end(start: Start, log: ListLog, programs: Programs) -> None:
    started = start(*shell("echo $ANSWER; exit 3"), ANSWER="42")
    assert started.receive_all() == b"42\n"
    until(lambda: not programs.running)
    pid = started.program.pid
    assert log.lines[0] == (Level.INFO, f"Local mode child started (PID={pid})")
    assert log.lines[-1] == (Level.INFO, f"Child process {pid} finished with code 3")


def test_the_end_of_input_is_one_for_the_program(start: Start) -> None:
    started = start("/bin/cat")
    started.leg.send(memoryview(b"hello"))
    started.leg.finish()
    assert started.receive_all() == b"hello"


def test_all_comes_of_a_program_that_did_not_read_what_it_was_sent(start: Start) -> None:
    size = 8 << 20
    started = start(*shell(f"sleep 0.1; head -c {size} /dev/zero"))
    started.leg.send(memoryview(b"GET / HTTP/1.0\r\n\r\n"))
    # It is over with writing before we read: its end of the connection has the rest.
    gevent.sleep(0.3)
    assert len(started.receive_all()) == size


def test_a_program_begins_with_nothing_of_ours(start: Start) -> None:
    inherited, other = os.pipe()
    os.set_inheritable(inherited, True)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        started = start(sys.executable, "-c", SHOW)
        seen = json.loads(started.receive_all())
    finally:
        signal.signal(signal.SIGHUP, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(inherited)
        os.close(other)
    assert sorted(seen["descriptors"]) == [0, 1, 2]
    assert seen["ignored"] == seen["blocked"] == seen["pending"] == []
    assert seen["limit"] == [soft, hard]
    assert seen["group"] == seen["session"] == seen["pid"]
    assert not seen["controlled"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_a_raised_limit_is_ours_alone(tmp_path: Path) -> None:
    """In a process of its own: a limit cannot be had back."""
    script = tmp_path / "raise.py"
    script.write_text(
        textwrap.dedent("""
        import gevent, os, sys
        from gtunnel.net.limits import raise_descriptor_limit
        from gtunnel.conf.settings import ProgramSettings
        from gtunnel.events import SilentLog
        from gtunnel.net.launch import Launch
        from gtunnel.net.program import Programs
        raise_descriptor_limit()
        settings = ProgramSettings(path="/bin/sh", arguments=("sh", "-c", "ulimit -Sn >&2; ulimit -Hn >&2"))
        programs = Programs()
        program, ends = programs.start(Launch(settings=settings, aloud=True), {}, SilentLog())
        while programs.running:
            gevent.sleep(0.01)
        """)
    )
    command = ["prlimit", "--nofile=100:200", sys.executable, str(script)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    # The hard limit is set when it runs already.
    assert done.stderr.split()[0] == "100"


def test_on_a_terminal_it_is_controlled_by_it_and_hung_up(start: Start, programs: Programs, log: ListLog) -> None:
    started = start(sys.executable, "-c", SHOW + "; import time; time.sleep(1000)", pty=True)
    seen = json.loads(started.receive(b"}\n"))
    assert seen["terminals"] == [0, 1, 2]
    assert seen["controlled"]
    started.close()
    until(lambda: started.program not in programs.running)
    assert f"Child process {started.program.pid} terminated on SIGHUP" in log.texts


def test_its_group_ends_with_the_connection(start: Start, programs: Programs, log: ListLog) -> None:
    started = start(*shell("sleep 1000 & echo $!; wait"))
    sleeper = int(started.receive(b"\n"))
    started.program.leave(0)
    until(lambda: not programs.running)
    until(lambda: not Path(f"/proc/{sleeper}/exe").exists())
    assert f"Child process {started.program.pid} terminated on SIGTERM" in log.texts


def test_it_may_finish_in_time(start: Start, programs: Programs, tmp_path: Path) -> None:
    done = tmp_path / "done"
    started = start(*shell(f"exec >/dev/null 2>&1 </dev/null; sleep 0.2; echo > {done}"))
    started.program.leave(PATIENCE)
    until(lambda: not programs.running)
    assert done.exists()


def test_who_does_not_listen_is_killed(start: Start, programs: Programs, log: ListLog) -> None:
    started = start(*shell("trap '' TERM; echo; while :; do sleep 1; done"))
    started.receive(b"\n")
    programs.end(0.05)
    assert not programs.running
    assert f"Child process {started.program.pid} did not end when it was asked to: killed" in log.texts


def test_a_program_that_is_not_there_is_one_line(start: Start, programs: Programs) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(ProgramError) as caught:
        start("/nonexistent/program")
    assert str(caught.value) == "Cannot run /nonexistent/program: No such file or directory (2)"
    assert not programs.running
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_cannot_be_said_is_an_error_too(start: Start) -> None:
    with pytest.raises(ProgramError, match="null"):
        start("/bin/true", NAME="a\0b")


def test_nothing_is_left_of_it(start: Start, programs: Programs) -> None:
    first = start("/bin/true")
    first.receive_all()
    first.program.leave(0)
    first.close()
    until(lambda: not programs.running)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        started = start("/bin/true")
        started.receive_all()
        started.program.leave(0)
        started.close()
    until(lambda: not programs.running)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_errors_that_are_no_end_are_errors(start: Start) -> None:
    started = start("/bin/cat")
    assert isinstance(started.leg, ProgramLeg)
    kept = os.dup(started.leg.sock.fileno())
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, started.leg.sock.fileno())
    with pytest.raises(SocketError):
        started.leg.send(memoryview(b"x"))
    os.dup2(kept, started.leg.sock.fileno())
    os.close(kept)
    os.close(null)
