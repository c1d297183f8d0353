"""Asking for a passphrase: on a terminal, from standard input, and where there is neither."""

import os
import pty
import select
import subprocess
import sys

from tests.support.daemon import PATIENCE
from tests.support.tunnels import ROOT

SCRIPT = """
from gtunnel.daemon.terminal import ask
from gtunnel.tls.passphrases import LockedError
try:
    print("got", ask("Enter x pass phrase:"))
except LockedError as error:
    print("refused:", error)
"""


def without_terminal(given: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Ask in a session that has no terminal."""
    argv = [sys.executable, "-c", SCRIPT]
    return subprocess.run(
        argv, input=given, capture_output=True, timeout=PATIENCE, check=True, cwd=ROOT, start_new_session=True
    )


def test_without_a_terminal_a_line_of_standard_input_does() -> None:
    done = without_terminal(b"correct horse\nmore\n")
    assert done.stdout == b"got b'correct horse'\n"
    assert done.stderr == b"Enter x pass phrase:\n"


def test_without_anything_it_is_refused() -> None:
    assert without_terminal(b"").stdout.startswith(b"refused: its passphrase is asked for at start, on a terminal")


def test_it_is_asked_for_on_the_terminal_and_not_shown() -> None:
    ours, theirs = pty.openpty()
    # The first terminal that the leader of a session opens becomes the session's.
    script = f"import os\nos.open({os.ttyname(theirs)!r}, os.O_RDWR)\n{SCRIPT}"
    argv = [sys.executable, "-c", script]
    shown = b""
    with subprocess.Popen(argv, stdin=theirs, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True) as asking:
        try:
            while b"phrase:" not in shown and select.select([ours], [], [], PATIENCE)[0]:
                shown += os.read(ours, 4096)
            os.write(ours, b"correct horse\n")
            said, _ = asking.communicate(timeout=PATIENCE)
        finally:
            asking.kill()
            os.close(theirs)
    assert said == b"got b'correct horse'\n"
    while select.select([ours], [], [], 0)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # EIO: the other side has gone
            break
    os.close(ours)
    assert b"Enter x pass phrase:" in shown
    assert b"horse" not in shown
