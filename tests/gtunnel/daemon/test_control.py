"""The control socket: who may, what is asked, and who is not waited for."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtunnel.daemon import control as module
from gtunnel.daemon.control import (
    Answer,
    Control,
    ControlError,
    ask,
    default_path,
    default_places,
    public_path,
    tell,
)
from gtunnel.daemon.peers import anybody
from gtunnel.daemon.reception import Reception, Request
from tests.gtunnel.daemon.watching import descriptors, soon


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    control = Control(tmp_path / "run" / "x.control")
    yield control
    control.close()


def requests(reception: Reception, count: int = 1) -> list[Request]:
    """Wait for so many."""
    found: list[Request] = []

    def enough() -> bool:
        found.extend(reception.look())
        return len(found) >= count

    assert soon(enough)
    return found


def test_a_request_gets_its_answer(control: Control) -> None:
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(ask(control.path, "reload")))
    client.start()
    reception = Reception(control, anybody)
    (request,) = requests(reception)
    assert request.word == "reload"
    request.answer(Answer(done=False, lines=("x.conf:1: no",)))
    client.join()
    assert answers == [Answer(done=False, lines=("x.conf:1: no",))]
    assert reception.look() == []


def test_facts_of_any_size_arrive_whole_and_nobody_waits_for_their_reader(control: Control) -> None:
    facts = {"list": ["x" * 100] * 50_000}
    silent = socket.socket(socket.AF_UNIX)
    with silent:
        silent.connect(str(control.path))
        silent.sendall(b"status\n")
        answers: list[Answer] = []
        client = threading.Thread(target=lambda: answers.append(ask(control.path, "status")))
        client.start()
        before = descriptors()
        for request in requests(Reception(control, anybody), 2):
            request.answer(Answer(done=True, facts=facts))
        client.join()
        assert answers == [Answer(done=True, facts=facts)]
        assert descriptors() <= before


def test_whoever_does_not_wait_is_obeyed_too(control: Control) -> None:
    tell(control.path, "reload")
    (request,) = requests(Reception(control, anybody))
    request.answer(Answer(done=True))


def test_a_full_backlog_is_waited_for(control: Control) -> None:
    crowd = []
    for _ in range(1000):
        one = socket.socket(socket.AF_UNIX)
        one.setblocking(False)
        crowd.append(one)
        try:
            one.connect(str(control.path))
        except BlockingIOError:
            break
    else:
        pytest.fail("the backlog has no end")
    with pytest.raises(ControlError, match="Resource temporarily unavailable"):
        ask(control.path, "reload", 0.1)
    client = threading.Thread(target=tell, args=(control.path, "reload"))
    client.start()
    for one in crowd:
        one.close()
    reception = Reception(control, anybody)
    (request,) = requests(reception)
    request.answer(Answer(done=True))
    client.join()
    reception.close()


def test_only_the_owner_may(control: Control) -> None:
    assert control.path.stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        control.give_to(1, 1)
        assert control.path.stat().st_uid == 1


def test_who_stays_the_same_user_touches_no_file(control: Control) -> None:
    control.path.unlink()
    control.give_to(-1, -1)
    with pytest.raises(ControlError, match="No such file"):
        control.give_to(os.geteuid(), -1)


@pytest.fixture
def signalled() -> Iterator[list[int]]:
    """The signals SIGIO that came. Any thread may get them here, so they cannot be waited for."""
    came: list[int] = []
    old = signal.signal(signal.SIGIO, lambda number, _: came.append(number))
    yield came
    # One that comes late ends nobody.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    signal.signal(signal.SIGIO, old)


def test_a_signal_says_that_somebody_is_there(signalled: list[int], control: Control) -> None:
    reception = Reception(control, anybody)
    reception.attend()
    tell(control.path, "reload")
    assert soon(lambda: bool(signalled))
    (request,) = requests(reception)
    request.answer(Answer(done=True))
    reception.close()


def test_a_group_has_a_socket_of_its_own(tmp_path: Path) -> None:
    group = os.getgroups()[-1] if os.geteuid() else 1
    control = Control(public_path(tmp_path / "x.control"), group)
    found = control.path.stat()
    assert (found.st_mode & 0o777, found.st_gid) == (0o660, group)
    assert control.path.name == "x.control.status"
    if os.geteuid() == 0:
        control.give_to(1, 2)
        assert (control.path.stat().st_uid, control.path.stat().st_gid) == (1, group)
    control.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may give files to any group")
def test_a_group_that_is_not_ours_cannot_have_one(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="Operation not permitted"):
        Control(tmp_path / "x", 0)
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_does_not_take_it_away(control: Control) -> None:
    with pytest.raises(ControlError, match="Address already in use"):
        Control(control.path)
    assert control.path.exists()


def test_what_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.control"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    control = Control(path)
    tell(path, "reload")
    control.close()
    assert not path.exists()


def test_where_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no gtunnel is running there") as caught:
        ask(tmp_path / "none", "reload")
    assert (caught.value.nobody, caught.value.denied) == (True, False)


def test_a_supervisor_that_hangs_up_or_hangs(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(ControlError, match=r"no answer within 0\.1 seconds"):
            ask(path, "reload", 0.1)
        server.accept()[0].close()

        def hang_up() -> None:
            server.accept()[0].close()

        hangs_up = threading.Thread(target=hang_up)
        hangs_up.start()
        with pytest.raises(ControlError):
            ask(path, "reload")
        hangs_up.join()


def test_where_it_is_depends_on_the_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    one, other = default_path("/etc/stunnel/mail.conf"), default_path("/etc/gtunnel/mail.conf")
    assert one is not None
    assert other is not None
    assert one != other
    assert one.parent == Path("/run/gtunnel/control")
    assert one.name.startswith("mail-")
    assert default_path("descriptor 3") is None
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(module, "RUNTIME_DIRECTORY", Path("/nowhere"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert (path := default_path("/home/a/x.conf")) is not None
    assert path.parent == tmp_path / "gtunnel"
    # Who asks need not be who runs it.
    assert [place.parent for place in default_places("/home/a/x.conf")] == [Path("/nowhere"), tmp_path / "gtunnel"]
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_path("/home/a/x.conf") is None


@pytest.mark.parametrize("said", [b"", b"[]\n", b'{"done": true}\n', b"\xff\n", b'{"lines": ' + b"[" * 100000])
def test_what_is_no_answer_is_told_as_such(said: bytes, tmp_path: Path) -> None:
    path = tmp_path / "odd.control"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(said)

        answering = threading.Thread(target=hang_up)
        answering.start()
        with pytest.raises(ControlError, match="hung up without an answer"):
            ask(path, "reload", 20)
        answering.join()
