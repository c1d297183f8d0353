"""What the daemon has of the guardian: its answers, in the log, or the reason why there are none."""

import json
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from gtunnel.cli import ephemeral
from gtunnel.cli.ephemeral import Ephemeral
from gtunnel.conf.settings import Configuration
from gtunnel.daemon.kernel import KernelError
from gtunnel.events import Level
from tests.gtunnel.logs import ListLog
from tests.gtunnel.settings import configuration

GATE = "[gate]\nclient = yes\naccept = 0.0.0.0:8443\ntransparent = destination\ncapture = 80\n"
Hire = Callable[[object], Ephemeral]


@pytest.fixture
def answered() -> Iterator[Callable[..., tuple[Ephemeral, list[bytes]]]]:
    """`answered(one, other, …)`: a guardian that gives these answers (None: it goes), and what it was asked."""
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def make(*answers: object) -> tuple[Ephemeral, list[bytes]]:
        ours, theirs = socket.socketpair()
        ends.extend((ours, theirs))
        asked: list[bytes] = []

        def guard() -> None:
            with theirs, theirs.makefile("rwb") as stream:
                for answer in answers:
                    asked.append(stream.readline())
                    if answer is None:
                        return
                    stream.write(json.dumps(answer).encode() + b"\n" if isinstance(answer, dict) else b"nonsense\n")
                    stream.flush()

        threads.append(threading.Thread(target=guard, daemon=True))
        threads[-1].start()
        return Ephemeral(ours), asked

    yield make
    for end in ends:
        end.close()
    for thread in threads:
        thread.join(10)


def gate() -> Configuration:
    return configuration(GATE)


def test_what_was_done_is_logged(answered: Callable[..., tuple[Ephemeral, list[bytes]]]) -> None:
    kernel, asked = answered(
        {"done": True, "notes": ["only IPv4"], "warnings": ["no eth9"], "steps": ["+ rule"]},
        {"done": True, "notes": [], "warnings": [], "steps": []},
    )
    log = ListLog()
    kernel.apply(gate(), log)
    kernel.remove(log)
    assert log.lines == [
        (Level.NOTICE, "netsetup: only IPv4"),
        (Level.WARNING, "netsetup: no eth9"),
        (Level.INFO, "netsetup: + rule"),
        (Level.NOTICE, "netsetup: 1 step done"),
        (Level.NOTICE, "netsetup: 0 steps done"),
    ]
    first, second = map(json.loads, asked)
    assert first["do"] == "apply"
    assert first["request"]["interceptions"][0]["capture"]["ports"] == [[80, 80]]
    assert second == {"do": "remove"}


def test_a_look_is_not_told_of(answered: Callable[..., tuple[Ephemeral, list[bytes]]]) -> None:
    kernel, asked = answered({"done": True, "notes": [], "warnings": [], "steps": []})
    kernel.check(gate())
    assert json.loads(asked[0])["do"] == "check"


def test_a_refusal_has_its_reason(answered: Callable[..., tuple[Ephemeral, list[bytes]]]) -> None:
    kernel, _ = answered({"done": False, "reason": "table 100 is taken"})
    with pytest.raises(KernelError, match="netsetup: table 100 is taken"):
        kernel.apply(gate(), ListLog())


@pytest.mark.parametrize("answer", [None, "nonsense"])
def test_a_guardian_that_is_gone_is_told_of(
    answered: Callable[..., tuple[Ephemeral, list[bytes]]], answer: object
) -> None:
    kernel, _ = answered(answer)
    for _ in range(2):
        with pytest.raises(KernelError, match="stays until `gtunnel netsetup destroy`"):
            kernel.remove(ListLog())


def test_one_that_hangs_is_not_waited_for_for_ever(
    answered: Callable[..., tuple[Ephemeral, list[bytes]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ephemeral, "ANSWER_SECONDS", 0.1)
    kernel, _ = answered()
    ours, theirs = socket.socketpair()
    with theirs:
        kernel = Ephemeral(ours)
        with pytest.raises(KernelError, match=r"no answer from the guardian process in 0\.1 seconds"):
            kernel.remove(ListLog())


def test_where_nothing_is_wanted_nobody_is_asked(answered: Callable[..., tuple[Ephemeral, list[bytes]]]) -> None:
    kernel, asked = answered()
    with pytest.raises(KernelError, match="nothing to set up"):
        kernel.apply(configuration("[x]\nclient = yes\naccept = 1\nconnect = 2\n"), ListLog())
    assert asked == []


def test_a_worker_lets_go_of_it() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        Ephemeral(ours).let_go()
        assert theirs.recv(1) == b""
