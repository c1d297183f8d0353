"""The stand-ins of the traffic tests, as contexts that end them."""

import json
import subprocess
from typing import Any, Self

from netsetup.model import Request
from tests.netsetup.world import World


class Stopping:
    """A stand-in that is killed when the context ends, or earlier by `stop`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def __enter__(self) -> "subprocess.Popen[str]":
        return self._process

    def __exit__(self, *_: object) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self.stop()

    def stop(self) -> Self:
        """Kill it, as a crash would."""
        self._process.kill()
        self._process.wait()
        return self


def proxy(world: World, request: Request, target: list[list[Any]] | None = None) -> Stopping:
    """A proxy on the gateway that listens as the request's one service does, and connects to `target` (host and port
    per IP version), or to where each peer wanted to go."""
    (service,) = request.interceptions
    settings = {
        "listeners": [[one.host, one.port] for one in service.listeners],
        "source": service.source,
        "mark": request.marks.own,
        "target": target,
    }
    return Stopping(world.start(world.gateway, "proxy", json.dumps(settings)))


def say(conversation: "subprocess.Popen[str]") -> None:
    """A line to a `talk`, and the same line back."""
    assert conversation.stdin is not None
    assert conversation.stdout is not None
    conversation.stdin.write("hello\n")
    conversation.stdin.flush()
    assert conversation.stdout.readline() == "hello\n"
