"""Sessions on a real redis server, and on one that is down, silent, or wants another password."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from gtunnel.conf.settings import SessionServer, SessionServerKind
from gtunnel.net import redisstore
from gtunnel.net.redisstore import RedisStore
from tests.gtunnel.logs import ListLog
from tests.support import needs
from tests.support.daemon import Daemon

PASSWORD = "hunter2"  # noqa: S105 - of this test's own server


@pytest.fixture
def port(daemon: Callable[..., Daemon], free_port: Callable[[], int], tmp_path: Path) -> int:
    number = free_port()
    options = ("--port", str(number), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD)
    running = daemon([needs.program("redis-server"), *options, "--dir", str(tmp_path)])
    running.wait_for("Ready to accept connections")
    return number


@pytest.fixture
def silent() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


def store(port: int, password: str = PASSWORD, space: bytes = b"s") -> RedisStore:
    url = f"redis://:{password}@127.0.0.1:{port}"
    return RedisStore(SessionServer(kind=SessionServerKind.REDIS, host="127.0.0.1", port=port, url=url), space)


def found(where: RedisStore, key: bytes, log: ListLog) -> bytes | None:
    """What comes to be kept by a key; nobody waits for that elsewhere."""
    for _ in range(200):
        value = where.get(key, log)
        if value is not None:
            return value
        gevent.sleep(0.05)
    return None


def test_what_is_kept_is_found_by_another_process_s_store_of_the_same_service(port: int) -> None:
    log = ListLog()
    one, same, other = store(port), store(port), store(port, space=b"t")
    one.put(b"\0id", b"\x30session\xff", 300.0, log)
    assert found(same, b"\0id", log) == b"\x30session\xff"
    assert other.get(b"\0id", log) is None
    assert log.lines == []


def test_a_wrong_password_is_told_once_and_never_shown(port: int) -> None:
    log = ListLog()
    wrong = store(port, "swordfish")
    assert wrong.get(b"id", log) is None
    assert wrong.get(b"id", log) is None
    (text,) = log.texts
    assert text.startswith(f"redis at 127.0.0.1:{port}: ")
    assert "swordfish" not in text


def test_a_server_that_is_down(free_port: Callable[[], int]) -> None:
    log = ListLog()
    nowhere = store(free_port())
    assert nowhere.get(b"id", log) is None
    nowhere.put(b"id", b"session", 300.0, log)
    gevent.sleep(0)
    assert len(log.lines) == 1


def test_a_server_that_says_nothing_does_not_hold_others_up(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redisstore, "ANSWER_SECONDS", 0.2)
    log = ListLog()
    ticks: list[int] = []

    def tick() -> None:
        for number in range(5):
            ticks.append(number)
            gevent.sleep(0.01)

    ticking = gevent.spawn(tick)
    assert store(silent).get(b"id", log) is None
    ticking.join()
    assert ticks == list(range(5))
    assert len(log.lines) == 1
