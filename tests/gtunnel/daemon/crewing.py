"""A crew in a process of its own, for tests: forking and blocking signals is nothing for pytest's process."""

import json
import socket
import subprocess
import sys
from dataclasses import replace
from textwrap import dedent

from gtunnel.conf.load import parse_text
from gtunnel.daemon import generation as generations
from gtunnel.daemon.crew import Crew, Shared
from gtunnel.daemon.generation import Generation
from gtunnel.daemon.log import DescriptorSink, Journal, JournalLog
from gtunnel.events import Level, Log
from gtunnel.net.loops import LoopGuard
from gtunnel.tunnel.census import Census
from gtunnel.tunnel.shared import SharedCounter
from tests.support.daemon import PATIENCE
from tests.support.tunnels import ROOT

PRELUDE = """
import json, os, signal, socket, sys, time
from gtunnel.daemon import channel, crew as crews
from gtunnel.daemon.channel import Word
from tests.gtunnel.daemon.crewing import Crew, dial, gone, make, say, shared
"""


def make(text: str = "[it]\nclient = yes\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:1\n") -> Generation:
    """A generation that listens."""
    journal, log = _journal()
    configuration = parse_text(text, "test.conf")
    services = generations.compile_services(configuration, LoopGuard(), journal, log)
    return generations.bind(configuration, services, None, log)


def shared(**changes: object) -> Shared:
    """What workers get: they log to standard error."""
    journal, log = _journal()
    usual = Shared(journal, log, SharedCounter(), Census(), 1024, lambda: None)
    return replace(usual, **changes)  # type: ignore[arg-type]


def dial(generation: Generation) -> socket.socket:
    """A connection to the generation's first listener."""
    return socket.create_connection(generation.listening[0].sock.getsockname(), timeout=PATIENCE)


def gone(crew: Crew) -> list[int]:
    """Reap until everybody has gone, and return their wait statuses."""
    statuses: list[int] = []
    while crew.members:
        statuses += [status for _, status in crew.reap()]
    return statuses


def say(result: object) -> None:
    """The script's result."""
    print(json.dumps(result))


def run(script: str, **options: object) -> "tuple[object, str]":
    """Run a script to its end: what it said, and its standard error. Its workers must have ended with it."""
    done = subprocess.run(  # type: ignore[call-overload]
        [sys.executable, "-c", PRELUDE + dedent(script)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=ROOT,
        **options,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr or "INTERNAL ERROR" in done.stderr, done.stderr
    return json.loads(done.stdout), done.stderr


def _journal() -> tuple[Journal, Log]:
    journal = Journal([DescriptorSink(2)])
    return journal, JournalLog(journal, Level.DEBUG)


__all__ = ["Crew", "dial", "gone", "make", "run", "say", "shared"]
