"""What a worker's connections get to hear from the warden."""

import errno
import os
import signal
import time
from collections.abc import Iterator
from typing import NoReturn, cast

import gevent
import pytest

from gtunnel.address import SocketAddress
from gtunnel.net import warden
from gtunnel.net.errors import WaitTimeoutError
from gtunnel.net.libwrap import Libwrap
from gtunnel.net.wrappers import Wrappers, WrappersError

CLIENT = SocketAddress("192.0.2.1", 5)


class Fake:
    """Runs in the check's process; the daemon's name says what is to happen."""

    def permits(self, daemon: str, client: SocketAddress, server: SocketAddress | None) -> bool:
        assert client == CLIENT
        assert server is None
        if daemon == "slow":
            time.sleep(60)
        if daemon == "kill the warden":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return daemon == "yes"


@pytest.fixture
def wrappers() -> Iterator[Wrappers]:
    wrappers = Wrappers(cast("Libwrap", Fake()))
    yield wrappers
    wrappers.close()


def test_many_ask_at_a_time(wrappers: Wrappers) -> None:
    asking = [gevent.spawn(wrappers.permits, word, CLIENT, None, 20) for word in ("yes", "no", "yes")]
    assert [greenlet.get() for greenlet in asking] == [True, False, True]


def test_a_check_has_its_time(wrappers: Wrappers) -> None:
    with pytest.raises(WaitTimeoutError, match="libwrap: s_poll_wait: TIMEOUTbusy exceeded"):
        wrappers.permits("slow", CLIENT, None, 0.1)
    assert wrappers.permits("yes", CLIENT, None, 20)


def test_a_warden_that_dies_lets_nobody_in_and_has_a_successor(wrappers: Wrappers) -> None:
    with pytest.raises(WrappersError, match="ended without an answer"):
        wrappers.permits("kill the warden", CLIENT, None, 20)
    assert wrappers.permits("yes", CLIENT, None, 20)


def test_where_there_can_be_no_successor_nobody_is_let_in_until_there_can(
    wrappers: Wrappers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Libwrap) -> NoReturn:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with monkeypatch.context() as patch:
        patch.setattr(warden, "start", fails)
        with pytest.raises(WrappersError, match="ended without an answer"):
            wrappers.permits("kill the warden", CLIENT, None, 20)
        for _ in range(2):
            with pytest.raises(WrappersError, match="Cannot allocate memory"):
                wrappers.permits("yes", CLIENT, None, 20)
    assert wrappers.permits("yes", CLIENT, None, 20)
