"""The least that a TLS proxy does per connection in Python, with gevent's loop and pyOpenSSL: a bound, and no proxy.

    python -m tests.bench --only 'TLS 1|connection' --with gtunnel,stunnel4,floor

No configuration, log, limits, timeouts, error handling, names, sessions of several servers, half-closed connections or
backlogs: each connection is one straight function on the functions of the bindings. What is above it in gtunnel's
figures is gtunnel's; what is above stunnel4's in its own is Python's, with these libraries.
"""

import gc
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from gevent import get_hub, getcurrent
from greenlet import greenlet
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

_SIZE: Final = 1 << 16
_READ: Final = 1
_ENDED: Final = lib.SSL_ERROR_ZERO_RETURN

_hub: Any = get_hub()
_plain = bytearray(_SIZE)
_cipher = bytearray(_SIZE)
_plain_raw, _cipher_raw = ffi.from_buffer(_plain), ffi.from_buffer(_cipher)


class _Side:
    """A socket, and how its readiness wakes the connection's greenlet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.watcher = _hub.loop.io(sock.fileno(), _READ)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive(self, buffer: bytearray) -> int:
        """Bytes; -1 for nothing now."""
        try:
            return self.sock.recv_into(buffer)
        except BlockingIOError:
            return -1

    def close(self) -> None:
        self.watcher.stop()
        self.watcher.close()
        self.sock.close()


class _Floor:
    """Both modes. A client has one server, and resumes the session that it got last."""

    def __init__(self, backend: int, pem: str) -> None:
        """`pem` is a server's certificate and key; empty for a client."""
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        self._context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        self._server = bool(pem)
        if pem:
            self._context.use_certificate_chain_file(pem)
            self._context.use_privatekey_file(pem)
            self._context.set_session_id(b"floor")
        self._backend = ("127.0.0.1", backend)
        self._session: Any = None
        self._idle: list[Any] = []

    def accept(self, listener: socket.socket) -> None:
        """In the loop: a connection begins, in a greenlet that has served another if there is one."""
        accepted, _ = listener.accept()
        one = self._idle.pop() if self._idle else greenlet(self._live, _hub)
        one.switch(accepted)

    def _live(self, accepted: socket.socket) -> None:
        while True:
            self._serve(accepted)
            self._idle.append(getcurrent())
            accepted = _hub.switch()

    def _serve(self, accepted: socket.socket) -> None:
        near, raw = _Side(accepted), lib.SSL_new(self._context._context)
        into, out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        lib.SSL_set_bio(raw, into, out)
        far = None
        try:
            if self._server:
                lib.SSL_set_accept_state(raw)
                if self._shake(raw, into, out, near):
                    far = self._dial()
                    self._relay(raw, into, out, tls=near, plain=far)
            else:
                far = self._dial()
                lib.SSL_set_connect_state(raw)
                if self._session is not None:
                    lib.SSL_set_session(raw, self._session)
                if self._shake(raw, into, out, far):
                    self._relay(raw, into, out, tls=far, plain=near)
                    self._session = ffi.gc(lib.SSL_get1_session(raw), lib.SSL_SESSION_free)
        finally:
            lib.SSL_free(raw)
            lib.ERR_clear_error()
            near.close()
            if far is not None:
                far.close()

    def _dial(self) -> _Side:
        sock = socket.socket()
        # To this machine: it does not wait.
        sock.connect(self._backend)
        return _Side(sock)

    def _shake(self, raw: object, into: object, out: object, side: _Side) -> bool:
        """False if the peer has gone."""
        side.watcher.start(getcurrent().switch)
        while True:
            done = lib.SSL_do_handshake(raw) == 1
            self._flush(out, side)
            if done:
                side.watcher.stop()
                return True
            while (count := side.receive(_cipher)) < 0:
                _hub.switch()
            if not count:
                return False
            lib.BIO_write(into, _cipher_raw, count)

    def _relay(self, raw: object, into: object, out: object, *, tls: _Side, plain: _Side) -> None:
        wake: Callable[[], object] = getcurrent().switch
        tls.watcher.start(wake)
        plain.watcher.start(wake)
        ended = False
        while True:
            # Also what came with the handshake.
            count = 0 if ended else lib.SSL_read(raw, _plain_raw, _SIZE)
            if count > 0:
                plain.sock.send(memoryview(_plain)[:count])
            elif not ended and lib.SSL_get_error(raw, count) == _ENDED:
                ended = True
                tls.watcher.stop()
                if not self._server:
                    return
                plain.sock.shutdown(socket.SHUT_WR)
            count = plain.receive(_plain)
            if count > 0:
                lib.SSL_write(raw, _plain_raw, count)
                self._flush(out, tls)
            elif not count:
                plain.watcher.stop()
                lib.SSL_shutdown(raw)
                self._flush(out, tls)
                if self._server:
                    return
            _hub.switch()
            count = -1 if ended else tls.receive(_cipher)
            if count > 0:
                lib.BIO_write(into, _cipher_raw, count)
            elif not count:
                return

    @staticmethod
    def _flush(out: object, side: _Side) -> None:
        count = lib.BIO_read(out, _cipher_raw, _SIZE)
        if count > 0:
            side.sock.send(memoryview(_cipher)[:count])


def main() -> None:
    """`floor.py LISTEN BACKEND [PEM]`: a server if there is a certificate."""
    listen, backend, pem = int(sys.argv[1]), int(sys.argv[2]), "".join(sys.argv[3:])
    floor = _Floor(backend, pem)
    listener = socket.create_server(("127.0.0.1", listen), backlog=128)
    listener.setblocking(False)
    watcher = _hub.loop.io(listener.fileno(), _READ)
    watcher.start(floor.accept, listener)
    # As a worker does.
    gc.collect()
    gc.freeze()
    _hub.switch()


if __name__ == "__main__":
    main()
