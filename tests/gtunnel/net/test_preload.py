"""The library for programs: where it is, and what it says to them."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gtunnel.net import preload

SOURCE = Path(preload.__file__).parents[1] / "preload" / "peername.c"
ASK = "import os, socket; print(socket.socket(fileno=os.dup(0)).getpeername())"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    built = tmp_path_factory.mktemp("preload") / preload.NAME
    options = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden")
    subprocess.run(["cc", *options, "-o", built, SOURCE, "-ldl"], check=True)
    return built


def asked(library: Path, *, script: str = ASK, **variables: str) -> str:
    """What a program prints whose standard input is a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    environment = {**os.environ, "LD_PRELOAD": str(library), **variables}
    with near, far:
        done = subprocess.run(
            [sys.executable, "-c", script], stdin=near.fileno(), env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.strip().replace(repr(near.getpeername()), "the real one")


def test_a_program_sees_the_client(library: Path) -> None:
    assert asked(library, REMOTE_HOST="192.0.2.7", REMOTE_PORT="4711") == "('192.0.2.7', 4711)"


def test_ipv6_too(library: Path) -> None:
    # Python goes by the socket's own family, which is not the address's: the bytes are what counts.
    script = (
        "import ctypes, os; a = (ctypes.c_ubyte * 128)(); n = ctypes.c_uint(128);"
        "c = ctypes.CDLL(None); assert c.getpeername(0, a, ctypes.byref(n)) == 0;"
        "print(n.value, bytes(a[2:4]).hex(), bytes(a[8:24]).hex())"
    )
    said = asked(library, script=script, REMOTE_HOST="2001:db8::7", REMOTE_PORT="258")
    assert said == "28 0102 20010db8000000000000000000000007"


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"REMOTE_HOST": "192.0.2.7"},
        {"REMOTE_HOST": "localhost", "REMOTE_PORT": ""},
        {"REMOTE_HOST": "somebody", "REMOTE_PORT": "1"},
        {"REMOTE_HOST": "192.0.2.7", "REMOTE_PORT": "99999"},
        {"REMOTE_HOST": "x" * 1000, "REMOTE_PORT": "1"},
    ],
)
def test_without_an_address_it_sees_what_is_there(library: Path, variables: dict[str, str]) -> None:
    assert asked(library, **variables) == "the real one"


def test_other_sockets_are_left_alone(library: Path) -> None:
    script = (
        "import socket; l = socket.create_server(('127.0.0.1', 0));"
        "s = socket.create_connection(l.getsockname()); print(s.getpeername() == l.getsockname())"
    )
    assert asked(library, script=script, REMOTE_HOST="192.0.2.7", REMOTE_PORT="1") == "True"


def test_what_fails_fails(library: Path) -> None:
    script = "import socket\ntry: socket.socket().getpeername()\nexcept OSError as e: print(e.errno)"
    assert asked(library, script=script, REMOTE_HOST="192.0.2.7", REMOTE_PORT="1") == "107"


def test_ours_is_preferred_to_debian_s(tmp_path: Path) -> None:
    assert preload.library(tmp_path, tmp_path) is None
    theirs = tmp_path / "lib/x86_64-linux-gnu/stunnel/libstunnel.so"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    assert preload.library(tmp_path, tmp_path) == theirs
    ours = tmp_path / preload.NAME
    ours.touch()
    assert preload.library(tmp_path, tmp_path) == ours
