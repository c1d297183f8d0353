"""`python -m gtunnel` is the same program as `gtunnel`."""

import subprocess
import sys

import pytest

from gtunnel.version import VERSION
from tests.gtunnel.cli.commands import ENVIRONMENT, program


@pytest.mark.parametrize("arguments", [("--version",), ("-nonsense",), ("check", "/no/such.conf")])
def test_it_answers_as_the_console_script_does(arguments: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", "gtunnel", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    script = program(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (script.status, script.out, script.err)


def test_importing_it_runs_nothing() -> None:
    argv = [sys.executable, "-c", "import gtunnel.__main__, gtunnel.version; print(gtunnel.version.VERSION)"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert (done.stdout, done.stderr) == (f"{VERSION}\n", "")
