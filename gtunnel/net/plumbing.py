"""Two descriptors as one socket: for a connection that comes as standard input and standard output.

Whatever they are (pipes, a terminal, files), a connection sees a socket, and this carries bytes between both.
"""

import contextlib
import os
import socket
from typing import Final

import gevent
import gevent.os
import gevent.socket

_CHUNK: Final = 65536


class Plumbing:
    """Carries bytes until both directions have ended. Owns both descriptors; `sock` is whoever's takes it."""

    def __init__(self, source: int, sink: int) -> None:
        """Bytes come from `source` and go to `sink`. Neither may block meanwhile; as other processes may share them,
        they are given back as they were."""
        self._blocking = {number: os.get_blocking(number) for number in (source, sink)}
        for number in self._blocking:
            os.set_blocking(number, False)
        self.sock, inner = socket.socketpair()
        self.sock.setblocking(False)
        self._inner = gevent.socket.socket(fileno=inner.detach())
        self._forth = gevent.spawn(self._carry_in, source)
        self._back = gevent.spawn(self._carry_out, sink)

    def drain(self) -> None:
        """Wait until all that was sent has been written; then end."""
        self._back.join()
        self._forth.kill()
        self._inner.close()

    def _carry_in(self, source: int) -> None:
        try:
            with contextlib.suppress(OSError):
                while data := gevent.os.nb_read(source, _CHUNK):
                    self._inner.sendall(data)
                self._inner.shutdown(socket.SHUT_WR)
        finally:
            self._give_back(source)

    def _carry_out(self, sink: int) -> None:
        try:
            while data := self._inner.recv(_CHUNK):
                left = memoryview(data)
                while left:
                    left = left[gevent.os.nb_write(sink, left) :]
        except OSError:
            # Nobody reads any more: who sends to us is to learn of it.
            self._forth.kill()
            self._inner.close()
        finally:
            self._give_back(sink)

    def _give_back(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.set_blocking(number, self._blocking[number])
        os.close(number)
