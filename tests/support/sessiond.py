"""A server of stunnel's sessiond protocol, in bytes: Debian has none.

Datagrams are version, type, seconds, key, session.
"""

import socket
import threading
from types import TracebackType
from typing import Self

HEAD = 4 + 32
NEW, GET, ERROR, OK = 0, 1, 0x80, 0x81


class SessionServer:
    """Keeps sessions in memory, until it is left as a context manager.

    `answers` False: it listens, and says nothing; `noise` is sent before each answer. `seconds` are those of the
    sessions that came, `asked` counts the questions for one.
    """

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.endpoint = f"127.0.0.1:{self.port}"
        self.kept: dict[bytes, bytes] = {}
        self.seconds: list[int] = []
        self.asked = 0
        self.answers = True
        self.noise = b""
        self.heard = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", self.sock.getsockname())
        self._thread.join()
        self.sock.close()

    def _serve(self) -> None:
        while True:
            data, peer = self.sock.recvfrom(2000)
            if data == b"stop":
                return
            if len(data) < HEAD or data[0] != 1:
                continue
            kind, key = data[1], data[4:HEAD]
            if kind == NEW:
                self.kept[key] = data[HEAD:]
                self.seconds.append(int.from_bytes(data[2:4]))
            elif kind == GET:
                self.asked += 1
            self.heard.set()
            if self.answers:
                self._answer(key, peer)

    def _answer(self, key: bytes, peer: tuple[str, int]) -> None:
        if self.noise:
            self.sock.sendto(self.noise, peer)
        value = self.kept.get(key, b"")
        self.sock.sendto(bytes([1, OK if value else ERROR, 0, 0]) + key + value, peer)
