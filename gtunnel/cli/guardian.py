"""The process that sets the kernel up for `gtunnel run --netsetup`, and sees that it is as before when that is gone.

It is forked before anything else happens, so it keeps the rights, the root directory and the namespace that gtunnel was
started with, whatever gtunnel gives up. It does what it is told through a socket pair, a line of JSON each way:

    {"do": "check", "request": …}       {"do": "apply", "request": …}       {"do": "remove"}
    {"done": true, "notes": […], "warnings": […], "steps": […]}       {"done": false, "reason": "…"}

and when that ends, however that came about, it removes what it has applied, and ends. No signal ends it before, but
SIGKILL. Whoever talks to it may have fewer rights: it is told what is wanted, never what to do for it.
"""

import contextlib
import json
import os
import signal
import socket
import syslog
import time
from collections.abc import Callable
from typing import Any, Final

from gtunnel.cli import plaindata
from netsetup import api
from netsetup.errors import NetsetupError
from netsetup.model import Request
from netsetup.plan import step_lines
from netsetup.steps import Step

# Bytes; a request with a thousand networks takes a hundred thousand.
MAX_LINE: Final = 16 << 20
# How often, and how long apart, removing is tried when nobody is left to be told that it failed: another process may
# hold a lock, or be busy with the same table.
TRIES: Final = 5
PAUSE_SECONDS: Final = 2.0
# `netName` by default, and that of the command.
DEFAULT_INSTANCE: Final = "gtunnel"
_IGNORED: Final = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGIO, signal.SIGPIPE),
)

Answer = dict[str, Any]


def fork() -> socket.socket:
    """Start it; our end of the socket pair is the caller's. Raises `OSError`."""
    ours, theirs = socket.socketpair()
    try:
        child = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if child == 0:
        # Not ours to bury, and without a terminal: once more, as detach does.
        try:
            os.setsid()
            if os.fork() == 0:
                _live(theirs)
        finally:
            os._exit(0)
    theirs.close()
    os.waitpid(child, 0)
    return ours


def _live(end: socket.socket) -> None:
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    # What a service manager has handed over, and whatever else is none of its business.
    os.closerange(3, end.fileno())
    os.closerange(end.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    Guardian().serve(end)


class TakenError(NetsetupError):
    """Something is there that is not ours to remove. Fields: undo."""

    template = (
        "what `gtunnel netsetup apply` has set up (or a gtunnel that was killed) is there: start without --netsetup, "
        "or run `{undo}` before"
    )


class OtherInstanceError(NetsetupError):
    """What is applied has another name."""

    template = "a reload cannot change the instance's name: restart"


class Guardian:
    """What it knows: which instance it has applied."""

    def __init__(self) -> None:
        self._applied: str | None = None

    def serve(self, end: socket.socket) -> None:
        """Do what is asked for until nobody asks any more; then remove what is left. Never raises."""
        with contextlib.suppress(OSError), end, end.makefile("rwb") as stream:
            while line := stream.readline(MAX_LINE):
                stream.write(json.dumps(self._answer(line)).encode() + b"\n")
                stream.flush()
        self._clear()

    def _answer(self, line: bytes) -> Answer:
        actions: dict[object, Callable[[Any], Answer]] = {
            "check": self._check,
            "apply": self._apply,
            "remove": self._remove,
        }
        try:
            asked = json.loads(line)
            return actions[asked["do"]](asked)
        except NetsetupError as error:
            return {"done": False, "reason": str(error)}
        except Exception as error:  # noqa: BLE001 - a bug, or a message that is none: the rules have to be removed all the same
            return {"done": False, "reason": f"INTERNAL ERROR: {type(error).__name__}: {error}"}

    def _admitted(self, asked: Any) -> Request:
        request = plaindata.decode(Request, asked["request"])
        if self._applied is None and _there(request.instance):
            raise TakenError(undo=undoing(request.instance))
        if self._applied not in (None, request.instance):
            raise OtherInstanceError
        return request

    def _check(self, asked: Any) -> Answer:
        api.plan(self._admitted(asked))
        return _done(())

    def _apply(self, asked: Any) -> Answer:
        request = self._admitted(asked)
        first, self._applied = self._applied is None, request.instance
        try:
            outcome = api.apply(request)
        except NetsetupError:
            if first and not _there(request.instance):
                self._applied = None
            raise
        return _done(outcome.steps, outcome.notes, outcome.warnings)

    def _remove(self, _: Any) -> Answer:
        steps = () if self._applied is None else api.destroy(self._applied).steps
        self._applied = None
        return _done(steps)

    def _clear(self) -> None:
        for tried in range(1, TRIES + 1):
            if self._applied is None:
                return
            try:
                self._remove(None)
            except Exception as error:  # noqa: BLE001 - nobody is above, and the rules are still there
                text = f"netsetup: what gtunnel had set up is not removed: {error}"
                last = f"; run `{undoing(self._applied)}`" if tried == TRIES else "; trying again"
                syslog.syslog(syslog.LOG_DAEMON | syslog.LOG_ERR, text + last)
                time.sleep(PAUSE_SECONDS)


def undoing(instance: str) -> str:
    """The command that removes what is there of an instance."""
    return "gtunnel netsetup destroy" + (f" --name {instance}" if instance != DEFAULT_INSTANCE else "")


def _done(steps: tuple[Step, ...], notes: tuple[str, ...] = (), warnings: tuple[str, ...] = ()) -> Answer:
    return {"done": True, "notes": notes, "warnings": warnings, "steps": step_lines(steps)}


def _there(instance: str) -> bool:
    """Whether something of an instance is in the kernel."""
    return bool(api.destroy(instance, dry_run=True).steps)
