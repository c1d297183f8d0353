"""TCP wrappers for a worker's connections: asked without holding up anybody but who is asked about."""

import itertools
import socket
from typing import Any

from gevent import get_hub
from gevent.event import AsyncResult
from gevent.timeout import Timeout

from gtunnel.address import SocketAddress
from gtunnel.errors import GtunnelError
from gtunnel.net import warden
from gtunnel.net.errors import WaitTimeoutError, errno_text
from gtunnel.net.libwrap import Libwrap
from gtunnel.net.warden import Question


class WrappersError(GtunnelError):
    """TCP wrappers gave no answer, so nobody is let in."""

    template = "libwrap: {reason}"


class Wrappers:
    """Asks a warden. Owns the channel to it; another one is started if it should be gone."""

    def __init__(self, library: Libwrap) -> None:
        """Start the warden. Raises `OSError`."""
        self._library = library
        self._end: socket.socket | None = self._start()
        self._numbers = itertools.count()
        self._waiting: dict[int, AsyncResult[bytes]] = {}
        self._watcher: Any = None

    def permits(self, daemon: str, client: SocketAddress, server: SocketAddress | None, seconds: float) -> bool:
        """Whether a client may use a daemon. Raises `WrappersError`, `WaitTimeoutError`."""
        number = next(self._numbers)
        result: AsyncResult[bytes] = AsyncResult()
        self._waiting[number] = result
        try:
            self._send(Question(daemon, client, server).packed(number))
            verdict = result.get(timeout=seconds)
        except Timeout as error:
            raise WaitTimeoutError(waiting="libwrap", option="TIMEOUTbusy", consequence="sending reset") from error
        finally:
            self._waiting.pop(number, None)
        if verdict == warden.FAILED:
            raise WrappersError(reason="the check ended without an answer")
        return verdict == warden.PERMITTED

    def _start(self) -> socket.socket:
        end = warden.start(self._library)
        end.setblocking(False)
        return end

    def _send(self, data: bytes) -> None:
        try:
            if self._end is None:
                self._end = self._start()
            if self._watcher is None:
                self._watch(self._end)
            self._end.send(data)
        except BlockingIOError as error:
            raise WrappersError(reason="too many checks are waiting") from error
        except OSError as error:
            raise WrappersError(reason=errno_text(error)) from error

    def _watch(self, end: socket.socket) -> None:
        self._watcher = get_hub().loop.io(end.fileno(), 1)
        self._watcher.start(self._answered, end)

    def _answered(self, end: socket.socket) -> None:
        try:
            data = end.recv(64)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        number, verdict = warden.answered(data)
        waiting = self._waiting.get(number)
        if waiting is not None:
            waiting.set(verdict)

    def _lose(self) -> None:
        """The warden is gone, by no doing of ours: whoever waits is refused, and who asks next gets another one."""
        for waiting in self._waiting.values():
            waiting.set(warden.FAILED)
        self.close()

    def close(self) -> None:
        """Let the warden go."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None
        if self._end is not None:
            self._end.close()
            self._end = None
