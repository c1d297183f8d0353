"""The warden as a process: it answers, ends with its worker, and survives what a check does to itself."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

from gtunnel.address import SocketAddress
from gtunnel.net import libwrap, warden
from gtunnel.net.libwrap import Libwrap
from gtunnel.net.warden import FAILED, PERMITTED, REFUSED, Question

CLIENT = SocketAddress("192.0.2.1", 5, 0)


class Fake:
    """Decides by what a test says, in the check's own process."""

    def __init__(self, permits: Callable[[str], bool]) -> None:
        self._permits = permits

    def permits(self, daemon: str, client: SocketAddress, server: SocketAddress | None) -> bool:
        assert (client, server) == (CLIENT, None)
        return self._permits(daemon)


def ask(end: socket.socket, *daemons: str) -> dict[int, bytes]:
    for number, daemon in enumerate(daemons):
        end.send(Question(daemon, CLIENT, None).packed(number))
    end.settimeout(20)
    return dict(warden.answered(end.recv(64)) for _ in daemons)


def started(permits: Callable[[str], bool]) -> socket.socket:
    return warden.start(cast("Libwrap", Fake(permits)))


def test_questions_come_back_as_they_went() -> None:
    question = Question("web", SocketAddress("2001:db8::1", 1, 2), SocketAddress("192.0.2.1", 3))
    assert Question.unpacked(question.packed(2**40)) == (2**40, question)
    assert warden.answered(warden.answer(2**40, REFUSED)) == (2**40, REFUSED)


def test_each_question_has_its_answer() -> None:
    with started(lambda daemon: daemon == "yes") as end:
        assert ask(end, "yes", "no", "yes") == {0: PERMITTED, 1: REFUSED, 2: PERMITTED}


def test_a_check_that_becomes_another_program_or_dies_lets_nobody_in() -> None:
    def permits(daemon: str) -> bool:
        if daemon == "twist":
            os.execl("/bin/true", "true")  # noqa: S606
        if daemon == "die":
            os.abort()
        return True

    with started(permits) as end:
        assert ask(end, "twist", "die", "good") == {0: FAILED, 1: FAILED, 2: PERMITTED}


def test_checks_that_die_are_buried() -> None:
    def permits(daemon: str) -> bool:
        if daemon == "die":
            os.abort()
        warden_pid = os.getppid()
        return len(Path(f"/proc/{warden_pid}/task/{warden_pid}/children").read_text().split()) <= 2

    with started(permits) as end:
        for _ in range(10):
            assert ask(end, "die") == {0: FAILED}
        assert ask(end, "count") == {0: PERMITTED}


def test_a_slow_check_holds_up_nobody(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    def permits(daemon: str) -> bool:
        return bool(fifo.read_bytes()) if daemon == "slow" else True

    with started(permits) as end:
        end.send(Question("slow", CLIENT, None).packed(7))
        assert ask(end, "quick") == {0: PERMITTED}
        fifo.write_bytes(b"x")
        assert warden.answered(end.recv(64)) == (7, PERMITTED)


def test_more_checks_than_may_run_wait() -> None:
    with started(lambda _: True) as end:
        count = 3 * warden.MAX_CHECKS
        end.settimeout(20)
        for number in range(count):
            end.send(Question("web", CLIENT, None).packed(number))
        assert {warden.answered(end.recv(64))[0] for _ in range(count)} == set(range(count))


def test_it_has_nothing_of_its_worker_and_ends_with_it(tmp_path: Path) -> None:
    secret = (tmp_path / "secret").open("w")

    def permits(_: str) -> bool:
        return f"'{secret.name}'" not in repr([str(one.resolve()) for one in Path("/proc/self/fd").iterdir()])

    with secret, started(permits) as end:
        assert ask(end, "web") == {0: PERMITTED}
    pid, status = os.waitpid(-1, 0)
    assert pid
    assert status == 0


def test_the_real_library(tmp_path: Path) -> None:
    library = libwrap.load()
    assert library is not None
    allow, deny = tmp_path / "allow", tmp_path / "deny"
    allow.write_text(f"web: 192.0.2.: spawn (echo %d %a >{tmp_path}/spawned)\nmail: ALL: twist /bin/true\n")
    deny.write_text("ALL: ALL\n")
    library.use_files(bytes(allow), bytes(deny))
    with warden.start(library) as end:
        answers = ask(end, "web", "other", "mail")
    # `twist` is refused by the library itself, at once.
    assert answers == {0: PERMITTED, 1: REFUSED, 2: REFUSED}
    assert (tmp_path / "spawned").read_text() == "web 192.0.2.1\n"
