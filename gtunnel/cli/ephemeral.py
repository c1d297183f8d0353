"""The kernel's side of `gtunnel run --netsetup`, as the daemon sees it: it asks, and the guardian does it."""

import json
import socket
from typing import Any, Final

from gtunnel.cli import guardian, plaindata
from gtunnel.cli.netsetup import request
from gtunnel.conf.settings import Configuration
from gtunnel.daemon.kernel import KernelError
from gtunnel.errors import GtunnelError
from gtunnel.events import Level, Log

# Another netsetup is waited for half a minute (the lock); the rest is a second or two.
ANSWER_SECONDS: Final = 120.0


class Ephemeral:
    """See `daemon.kernel.Kernel`. Owns the socket, and with it the guardian's life."""

    def __init__(self, end: socket.socket) -> None:
        """`end` leads to a guardian."""
        self._end = end
        self._instance = guardian.DEFAULT_INSTANCE
        self._end.settimeout(ANSWER_SECONDS)

    def check(self, configuration: Configuration) -> None:
        """See `Kernel`."""
        self._ask({"do": "check", "request": _wanted(configuration)})

    def apply(self, configuration: Configuration, log: Log) -> None:
        """See `Kernel`."""
        wanted = _wanted(configuration)
        self._tell(self._ask({"do": "apply", "request": wanted}), log)
        self._instance = wanted["instance"]

    def remove(self, log: Log) -> None:
        """See `Kernel`."""
        self._tell(self._ask({"do": "remove"}), log)

    def let_go(self) -> None:
        """See `Kernel`."""
        self._end.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            self._end.sendall(json.dumps(question).encode() + b"\n")
            answer = self._heard()
        except (OSError, ValueError) as error:
            # An answer that comes later would be taken for another one's: nothing more is asked.
            self._end.close()
            late = isinstance(error, TimeoutError)
            late_reason = f"no answer from the guardian process in {ANSWER_SECONDS:g} seconds"
            raise KernelError(reason=late_reason if late else self._gone()) from error
        if not answer["done"]:
            raise KernelError(reason=answer["reason"])
        return answer

    def _gone(self) -> str:
        undo = guardian.undoing(self._instance)
        return f"the guardian process is gone: what is set up stays until `{undo}`; start gtunnel again after that"

    def _heard(self) -> dict[str, Any]:
        said = bytearray()
        while not said.endswith(b"\n"):
            data = self._end.recv(65536)
            if not data:
                raise ConnectionResetError
            said += data
        answer: dict[str, Any] = json.loads(said)
        return answer

    @staticmethod
    def _tell(answer: dict[str, Any], log: Log) -> None:
        for key, level in (("notes", Level.NOTICE), ("warnings", Level.WARNING), ("steps", Level.INFO)):
            for line in answer[key]:
                log.write(level, f"netsetup: {line}")
        count = len(answer["steps"])
        log.write(Level.NOTICE, f"netsetup: {count} step{'s' * (count != 1)} done")


def _wanted(configuration: Configuration) -> Any:
    try:
        return plaindata.encode(request(configuration))
    except GtunnelError as error:
        raise KernelError(reason=error) from error


def start() -> Ephemeral:
    """Start a guardian. Raises `KernelError`."""
    try:
        return Ephemeral(guardian.fork())
    except OSError as error:
        raise KernelError(reason=f"the guardian process cannot be started: {error.strerror}") from error
