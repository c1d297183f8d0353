"""The control socket: how a command asks the running supervisor for something, and hears what came of it.

The supervisor waits for signals and nothing else, so the socket sends it one (SIGIO) when somebody has connected. Each
request is a line, each answer one JSON object; then the connection ends. Only the owner of the socket and root may.
What is longer than a few lines comes with the answer as the descriptor of an anonymous file: a reader that is slow, or
does not read at all, keeps nobody waiting.

Whom `controlGroup` lets ask how it goes has another socket beside it (`public_path`): what strangers do there is never
in the way of those who may say what is to be done. `reception` is how requests are taken from either.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from gtunnel.errors import GtunnelError
from gtunnel.net.errors import errno_text
from gtunnel.values import dataclass

RUNTIME_DIRECTORY: Final = Path("/run/gtunnel/control")
# A request is a word. Whoever does not say it in this time is not waited for.
REQUEST_SECONDS: Final = 1.0
MAX_REQUEST: Final = 64
# Bytes of an anonymous file: a hundred times what a supervisor has to tell at most.
MAX_FACTS: Final = 256 << 20
# A reload builds everything anew and waits for its workers to accept.
ANSWER_SECONDS: Final = 90.0
NOBODY: Final = "no gtunnel is running there"
_BACKLOG: Final = 128
_MODE: Final = 0o600
_GROUP_MODE: Final = 0o660
_CHUNK: Final = 65536
_RETRY_SECONDS: Final = 0.02


class ControlError(GtunnelError):
    """The control socket cannot be made, or nobody answers on it."""

    template = "Control socket {path}: {reason}"
    # Whether it is there, and we may not use it.
    denied = False

    @property
    def nobody(self) -> bool:
        """Whether nobody listens there."""
        return self.fields["reason"] == NOBODY


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request: whether it was done, and the lines that were logged about it; or what was asked for."""

    done: bool
    lines: tuple[str, ...] = ()
    facts: dict[str, Any] | None = None


def default_path(configuration: str) -> Path | None:
    """Where the supervisor of a configuration file listens, unless the file says otherwise; None if there is no place.

    In /run/gtunnel/control, by the file's path; for users who cannot write there, below XDG_RUNTIME_DIR.
    """
    places = default_places(configuration)
    system_wide = os.geteuid() == 0 or os.access(RUNTIME_DIRECTORY, os.W_OK)
    return next((place for place in places if system_wide or place.parent != RUNTIME_DIRECTORY), None)


def default_places(configuration: str) -> tuple[Path, ...]:
    """Where supervisors of a configuration file may listen: that of the system, and our own."""
    if not configuration.startswith("/"):
        return ()
    digest = hashlib.sha256(configuration.encode()).hexdigest()[:12]
    name = f"{Path(configuration).stem[:32]}-{digest}.control"
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    directories = (RUNTIME_DIRECTORY, Path(own) / "gtunnel") if own.startswith("/") else (RUNTIME_DIRECTORY,)
    return tuple(directory / name for directory in directories)


def public_path(path: Path) -> Path:
    """Where those may ask who have no other right, beside a control socket."""
    return path.with_name(f"{path.name}.status")


class Control:
    """The supervisor's end. Owns the socket, and the file if it may remove it when it ends."""

    def __init__(self, path: Path, group: int | None = None) -> None:
        """Listen: for the owner of the file and root, and for a group if one is given. Raises `ControlError`, also
        where somebody else does already."""
        self.path = path
        self._group = group
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
            if group is not None:
                # Where it is ours anyway, this need not be allowed: sandboxes do without chown(2).
                if fresh.stat().st_gid != group:
                    os.chown(fresh, -1, group)
                fresh.chmod(_GROUP_MODE)
            self._sock.listen(_BACKLOG)
            fresh.rename(path)
        except OSError as error:
            self._sock.close()
            fresh.unlink(missing_ok=True)
            raise ControlError(path=path, reason=errno_text(error)) from error
        finally:
            os.umask(old)

    def give_to(self, user: int, group: int) -> None:
        """Let whom we become use it. Raises `ControlError`."""
        group = group if self._group is None else -1
        if (user, group) == (-1, -1):
            # Under a sandbox even a chown that changes nothing may be forbidden (@chown in systemd's sets of calls).
            return
        try:
            # The directory may be another user's: what is there now need not be what we made.
            os.chown(self.path, user, group, follow_symlinks=False)
        except OSError as error:
            raise ControlError(path=self.path, reason=errno_text(error)) from error

    def attend(self) -> None:
        """From now on send this process SIGIO when somebody connects."""
        call(self._sock)

    def accept(self) -> socket.socket | None:
        """Who has connected, never blocking; None when nobody waits."""
        try:
            connection, _ = self._sock.accept()
        except OSError:
            return None
        connection.setblocking(False)
        return connection

    def let_go(self) -> None:
        """Close this process's copy: what a worker does."""
        self._sock.close()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._sock.close()


def call(sock: socket.socket) -> None:
    """Have SIGIO sent to this process when something happens on a socket (fcntl(2))."""
    fcntl.fcntl(sock, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(sock, fcntl.F_SETFL, fcntl.fcntl(sock, fcntl.F_GETFL) | os.O_ASYNC)


def ask(path: Path, word: str, seconds: float = ANSWER_SECONDS) -> Answer:
    """Ask the supervisor that listens there, and wait for what it says. Raises `ControlError`."""
    descriptors: list[int] = []
    try:
        with _said(path, word, seconds) as connection:
            said = _heard(connection, descriptors)
        return _parsed(path, said, descriptors)
    except TimeoutError as error:
        raise ControlError(path=path, reason=f"no answer within {seconds:g} seconds") from error
    except OSError as error:
        raise ControlError(path=path, reason=errno_text(error)) from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def tell(path: Path, word: str) -> None:
    """Ask for something, and do not wait for it. Raises `ControlError`."""
    _said(path, word, REQUEST_SECONDS).close()


def _said(path: Path, word: str, seconds: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        _connect(connection, path, seconds)
        connection.sendall(f"{word}\n".encode())
    except OSError as error:
        connection.close()
        nobody = error.errno in (errno.ENOENT, errno.ECONNREFUSED)
        problem = ControlError(path=path, reason=NOBODY if nobody else errno_text(error))
        problem.denied = isinstance(error, PermissionError)
        raise problem from error
    return connection


def _connect(connection: socket.socket, path: Path, seconds: float) -> None:
    deadline = monotonic() + seconds
    while True:
        try:
            connection.connect(str(path))
        except BlockingIOError:
            # More wait than the backlog has room for (unix(7)).
            if monotonic() > deadline:
                raise
            sleep(_RETRY_SECONDS)
        else:
            return


def _heard(connection: socket.socket, descriptors: list[int]) -> bytes:
    """A line, and the descriptors that come with it."""
    said = bytearray()
    while not said.endswith(b"\n"):
        data, found, _, _ = socket.recv_fds(connection, _CHUNK, 1)
        descriptors += found
        if not data:
            break
        said += data
    return bytes(said)


def _parsed(path: Path, said: bytes, descriptors: list[int]) -> Answer:
    try:
        answer: dict[str, Any] = json.loads(said)
        facts = None
        if descriptors:
            with os.fdopen(os.dup(descriptors[0]), "rb") as file:
                file.seek(0)
                facts = json.loads(file.read(MAX_FACTS))
        return Answer(bool(answer["done"]), tuple(str(line) for line in answer["lines"]), facts)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ControlError(path=path, reason="the supervisor hung up without an answer") from error


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
