"""Running what the system has for looking at the network. Nothing here changes anything."""

import json
import os
import shutil
import subprocess
from typing import Any

_SECONDS = 30.0
"""For one program; listing a very long ruleset takes a few."""

_DIRECTORIES = ("/usr/sbin", "/sbin")


def output(*argv: str) -> tuple[int, str, str]:
    """Exit status, standard output, last line of standard error; status 127 where the program is absent."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_DIRECTORIES])
    program = shutil.which(argv[0], path=path)
    if program is None:
        return 127, "", f"{argv[0]} is not installed"
    try:
        done = subprocess.run(
            [program, *argv[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "PATH": path},
        )
    except subprocess.TimeoutExpired:
        return 124, "", f"{argv[0]} did not answer within {_SECONDS:.0f} seconds"
    said = done.stderr.strip().splitlines()
    return done.returncode, done.stdout, said[-1] if said else f"{argv[0]} ended with status {done.returncode}"


def decoded(*argv: str) -> tuple[Any, str]:
    """The JSON that a program prints, or None and why there is none."""
    status, out, reason = output(*argv)
    if status != 0:
        return None, reason
    try:
        return json.loads(out or "[]"), ""
    except ValueError:
        return None, f"{argv[0]} did not print JSON"
