"""The control socket: how a command asks the running supervisor for something, and hears what came of it.

The supervisor waits for signals and nothing else, so the socket sends it one (SIGIO) when somebody has connected. Each
request is a line, each answer one JSON object; then the connection ends. Only the owner of the socket and root may.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Final

from gtunnel.errors import GtunnelError
from gtunnel.net.errors import errno_text

RUNTIME_DIRECTORY: Final = Path("/run/gtunnel/control")
# A request is a word. Whoever does not say it in this time is not waited for: the supervisor has other things to do.
REQUEST_SECONDS: Final = 1.0
MAX_REQUEST: Final = 64
# A reload builds everything anew and waits for its workers to accept.
ANSWER_SECONDS: Final = 90.0
NOBODY: Final = "no gtunnel is running there"
_BACKLOG: Final = 16
_MODE: Final = 0o600


class ControlError(GtunnelError):
    """The control socket cannot be made, or nobody answers on it."""

    template = "Control socket {path}: {reason}"

    @property
    def nobody(self) -> bool:
        """Whether nobody listens there."""
        return self.fields["reason"] == NOBODY


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: whether it was done, and the lines that were logged about it."""

    done: bool
    lines: tuple[str, ...] = ()


def default_path(configuration: str) -> Path | None:
    """Where the supervisor of a configuration file listens, unless the file says otherwise; None if there is no place.

    In /run/gtunnel/control, by the file's path; for users who cannot write there, below XDG_RUNTIME_DIR.
    """
    if not configuration.startswith("/"):
        return None
    directory = RUNTIME_DIRECTORY
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.geteuid() != 0 and not os.access(directory, os.W_OK):
        if not own.startswith("/"):
            return None
        directory = Path(own) / "gtunnel"
    digest = hashlib.sha256(configuration.encode()).hexdigest()[:12]
    return directory / f"{Path(configuration).stem[:32]}-{digest}.control"


class Control:
    """The supervisor's end. Owns the socket, and the file if it may remove it when it ends."""

    def __init__(self, path: Path) -> None:
        """Listen. Raises `ControlError`, also where somebody else does already."""
        self.path = path
        try:
            _make(path.parent)
            _demand_silence(path)
            self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise ControlError(path=path, reason=errno_text(error)) from error
        old = os.umask(0o777 & ~_MODE)
        # Nobody finds it before it listens.
        fresh = path.with_name(f"{path.name[:64]}.{os.getpid()}")
        try:
            self._sock.bind(str(fresh))
            self._sock.listen(_BACKLOG)
            fresh.rename(path)
        except OSError as error:
            self._sock.close()
            raise ControlError(path=path, reason=errno_text(error)) from error
        finally:
            os.umask(old)

    def give_to(self, user: int, group: int) -> None:
        """Let whom we become use it. Raises `ControlError`."""
        try:
            # The directory may be another user's: what is there now need not be what we made.
            os.chown(self.path, user, group, follow_symlinks=False)
        except OSError as error:
            raise ControlError(path=self.path, reason=errno_text(error)) from error

    def attend(self) -> None:
        """From now on send this process SIGIO when somebody connects."""
        fcntl.fcntl(self._sock, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(self._sock, fcntl.F_GETFL)
        fcntl.fcntl(self._sock, fcntl.F_SETFL, flags | os.O_ASYNC)

    def accept(self) -> "Request | None":
        """The next request; None when nobody waits. One that says nothing in time, or nonsense, is sent away."""
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:
                return None
            word = _word(connection)
            if word:
                return Request(word, connection)
            connection.close()

    def let_go(self) -> None:
        """Close this process's copy: what a worker does."""
        self._sock.close()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._sock.close()


@dataclass(frozen=True, slots=True)
class Request:
    """Somebody who asked for something, and waits."""

    word: str
    _connection: socket.socket

    def answer(self, answer: Answer) -> None:
        """Tell, and hang up. Whoever is gone meanwhile does not hear it."""
        with contextlib.suppress(OSError), self._connection:
            self._connection.settimeout(REQUEST_SECONDS)
            self._connection.sendall(json.dumps({"done": answer.done, "lines": answer.lines}).encode() + b"\n")


def ask(path: Path, word: str, seconds: float = ANSWER_SECONDS) -> Answer:
    """Ask the supervisor that listens there, and wait for what it says. Raises `ControlError`."""
    try:
        with _said(path, word, seconds) as connection, connection.makefile("rb") as stream:
            said = stream.readline()
    except TimeoutError as error:
        raise ControlError(path=path, reason=f"no answer within {seconds:g} seconds") from error
    except OSError as error:
        raise ControlError(path=path, reason=errno_text(error)) from error
    return _parsed(path, said)


def tell(path: Path, word: str) -> None:
    """Ask for something, and do not wait for it. Raises `ControlError`."""
    _said(path, word, REQUEST_SECONDS).close()


def _said(path: Path, word: str, seconds: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect(str(path))
        connection.sendall(f"{word}\n".encode())
    except OSError as error:
        connection.close()
        nobody = error.errno in (errno.ENOENT, errno.ECONNREFUSED)
        reason = NOBODY if nobody else errno_text(error)
        raise ControlError(path=path, reason=reason) from error
    return connection


def _parsed(path: Path, said: bytes) -> Answer:
    try:
        answer: dict[str, Any] = json.loads(said)
        return Answer(bool(answer["done"]), tuple(str(line) for line in answer["lines"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ControlError(path=path, reason="the supervisor hung up without an answer") from error


def _word(connection: socket.socket) -> str:
    data = b""
    deadline = monotonic() + REQUEST_SECONDS
    with contextlib.suppress(OSError):
        while b"\n" not in data and len(data) < MAX_REQUEST:
            connection.settimeout(max(0.01, deadline - monotonic()))
            more = connection.recv(MAX_REQUEST)
            if not more or monotonic() > deadline:
                break
            data += more
    word, end, _ = data.partition(b"\n")
    return word.decode("ascii", "replace").strip() if end else ""


def _make(directory: Path) -> None:
    """Make a directory and those above it, which nobody but their owner can write to. Raises `OSError`."""
    for one in (*reversed(directory.parents), directory):
        if not one.is_dir():
            one.mkdir(mode=0o755, exist_ok=True)


def _demand_silence(path: Path) -> None:
    """Raises `OSError` where somebody answers already; what a process that is gone has left is no hindrance."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(REQUEST_SECONDS)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            return  # it is replaced
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
