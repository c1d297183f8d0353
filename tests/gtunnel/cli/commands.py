"""Running the command line for tests: in this process where it only answers, as a program where it does more."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gtunnel.cli.main import main
from tests.support.certificates import Pki
from tests.support.daemon import PATIENCE
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT

# Output is buffered, as it is for everybody who has not asked for something else.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
    **GTUNNEL_ENVIRONMENT,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said."""

    status: int
    out: str
    err: str


def ask(capsys: pytest.CaptureFixture[str], *arguments: object) -> Answer:
    """Run a command line in this process."""
    capsys.readouterr()
    try:
        status = main([str(argument) for argument in arguments])
    except SystemExit as end:
        status = int(end.code or 0)
    out, err = capsys.readouterr()
    return Answer(status, out, err)


def program(*arguments: object, then: str = "", **options: object) -> Answer:
    """Run it as a program; with `then`, followed by that (such as `| head -1`)."""
    argv = [*GTUNNEL, *map(str, arguments)]
    if then:
        argv = ["bash", "-o", "pipefail", "-c", f'"$@" {then}', "bash", *argv]
    done = subprocess.run(  # type: ignore[call-overload]
        argv, capture_output=True, text=True, timeout=PATIENCE, check=False, env=ENVIRONMENT, **options
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def good(pki: Pki, directory: Path, lines: str = "") -> Path:
    """A configuration that would run, in a file."""
    file = directory / "good.conf"
    file.write_text(
        "foreground = yes\nsyslog = no\npid =\nworkers = 1\n"
        f"[web]\ncert = {pki.server.cert}\nkey = {pki.server.key}\naccept = 127.0.0.1:0\nconnect = 127.0.0.1:9\n{lines}"
    )
    return file
