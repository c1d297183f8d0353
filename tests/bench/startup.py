"""How long a start takes: what each connection waits for in inetd mode. Not a test; docs/performance.md has figures.

    python -m tests.bench.startup [RUNS]

For each program, with the same configuration: from starting it with a connection until the first byte of its program's
answer through TLS, and the processor time that it took. The machine should have nothing else to do.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from tests.support.certificates import Pki
from tests.support.tls import TlsPeer, client_context
from tests.support.tunnels import ROOT

RUNS = 20


def once(argv: Sequence[str], pki: Pki) -> tuple[float, float]:
    """Seconds until the answer, and of processor time."""
    before = os.times()
    ours, theirs = socket.socketpair()
    began = perf_counter()
    near, environment = theirs.fileno(), {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(argv, stdin=near, stdout=near, stderr=subprocess.DEVNULL, env=environment)
    theirs.close()
    with TlsPeer(ours, client_context(str(pki.ca)), server_hostname="localhost") as peer:
        assert peer.receive_all() == b"ready\n"
        answered = perf_counter() - began
        peer.close_notify()
    process.wait()
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return answered, spent


def main(runs: int) -> None:
    """Print a line for each program."""
    with tempfile.TemporaryDirectory() as name:
        pki = Pki(Path(name))
        conf = Path(name, "inetd.conf")
        conf.write_text(f"syslog = no\nexec = /bin/echo\nexecArgs = echo ready\ncert = {pki.server.pem}\n")
        entry = "import sys; sys.argv[0] = 'gtunnel'; from gtunnel.cli.main import entry; entry()"
        programs = {"gtunnel": [sys.executable, "-c", entry, str(conf)]}
        stunnel = shutil.which("stunnel4")
        if stunnel is not None:
            programs["stunnel4"] = [stunnel, str(conf)]
        for label, argv in programs.items():
            once(argv, pki)  # byte code and caches
            answers, spent = zip(*(once(argv, pki) for _ in range(runs)), strict=True)
            print(f"{label}: answer after {_shown(answers)}, {_shown(spent)} of processor time")


def _shown(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms (at best {min(seconds) * 1000:.0f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
