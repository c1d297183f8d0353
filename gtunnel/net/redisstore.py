"""Sessions on a redis server, through the Python client redis-py (docs/dependencies.md).

The client blocks, so it works in threads of a small pool; a handshake waits for its answer with a time limit.
"""

import threading
from typing import Any, Final

import gevent
from gevent.threadpool import ThreadPool

from gtunnel.conf.settings import SessionServer
from gtunnel.events import Log
from gtunnel.net import redisclient
from gtunnel.net.patience import Patience

# For connecting, and for each answer.
ANSWER_SECONDS: Final = 0.5
# Questions at a time from one worker; the others wait for their turn, as long as for an answer.
THREADS: Final = 8
PREFIX: Final = b"gtunnel:session:"


class RedisStore:
    """A `resumption.SessionStore` on such a server. Made before workers are forked; each opens connections of its own.
    """

    def __init__(self, server: SessionServer, space: bytes) -> None:
        """`space` keeps the sessions of different services apart."""
        self._server = server
        self._prefix = PREFIX + space.hex().encode() + b":"
        self._patience = Patience(str(server))
        self._client: Any = None
        self._pool: ThreadPool | None = None
        self._making = threading.Lock()

    def get(self, key: bytes, log: Log) -> bytes | None:
        """See `SessionStore`."""
        answer = self._ask(log, "get", self._prefix + key.hex().encode())
        return answer if isinstance(answer, bytes) else None

    def put(self, key: bytes, value: bytes, seconds: float, log: Log) -> None:
        """See `SessionStore`. Nobody waits for it."""
        gevent.spawn(self._ask, log, "set", self._prefix + key.hex().encode(), value, max(1, int(seconds)))

    def _ask(self, log: Log, command: str, *arguments: Any) -> object:
        if self._patience.worn():
            return None
        if self._pool is None:
            self._pool = ThreadPool(THREADS)
        try:
            with gevent.Timeout(2 * ANSWER_SECONDS):
                answer = self._pool.spawn(self._run, command, *arguments).get()
        except gevent.Timeout:
            answer = TimeoutError("it does not answer")
        if isinstance(answer, Exception):
            self._patience.failed(answer, log)
            return None
        self._patience.answered(log)
        return answer

    def _run(self, command: str, *arguments: Any) -> object:
        # As a value: gevent prints the traceback of whatever a thread of its pool raises.
        try:
            return getattr(self._connected(), command)(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a cache fails with costs a full handshake, nothing more
            return error

    def _connected(self) -> Any:
        with self._making:
            if self._client is None:
                module = redisclient.module()
                if module is None:
                    raise OSError("the Python package redis is not installed")
                self._client = module.Redis.from_url(
                    self._server.url,
                    socket_timeout=ANSWER_SECONDS,
                    socket_connect_timeout=ANSWER_SECONDS,
                    max_connections=THREADS,
                )
            return self._client
