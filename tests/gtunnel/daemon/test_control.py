"""The control socket: who may, what is asked, and who is not waited for."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gtunnel.daemon import control as module
from gtunnel.daemon.control import Answer, Control, ControlError, ask, default_path, tell
from tests.gtunnel.daemon.watching import soon


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    control = Control(tmp_path / "run" / "x.control")
    yield control
    control.close()


def test_a_request_gets_its_answer(control: Control) -> None:
    answers: list[Answer] = []
    client = threading.Thread(target=lambda: answers.append(ask(control.path, "reload")))
    client.start()
    while (request := control.accept()) is None:
        pass
    assert request.word == "reload"
    request.answer(Answer(done=False, lines=("x.conf:1: no",)))
    client.join()
    assert answers == [Answer(done=False, lines=("x.conf:1: no",))]
    assert control.accept() is None


def test_whoever_does_not_wait_is_obeyed_too(control: Control) -> None:
    tell(control.path, "reload")
    request = control.accept()
    assert request is not None
    request.answer(Answer(done=True))


def test_only_the_owner_may(control: Control) -> None:
    assert control.path.stat().st_mode & 0o777 == 0o600
    if os.geteuid() == 0:
        control.give_to(1, 1)
        assert control.path.stat().st_uid == 1


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
    control.attend()
    tell(control.path, "reload")
    assert soon(lambda: bool(signalled))
    request = control.accept()
    assert request is not None
    request.answer(Answer(done=True))
    control.close()


@pytest.mark.parametrize("nonsense", [b"", b"reload", b"x" * 1000, b"\n", b"\xff\xfe\n"])
def test_nonsense_is_sent_away(control: Control, nonsense: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(control.path))
        client.sendall(nonsense)
        request = control.accept()
        assert request is None or request.word not in ("", "reload")
        if request is not None:
            request.answer(Answer(done=False))


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
    with pytest.raises(ControlError, match="no gtunnel is running there"):
        ask(tmp_path / "none", "reload")


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
