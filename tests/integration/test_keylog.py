"""`keylog`: the same secrets that openssl's own client notes, from every worker, in a file of its owner's."""

import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels
from tests.support.visits import backend, visit


def secrets(file: Path) -> set[str]:
    """The lines that are no comments."""
    return {line.lower() for line in file.read_text().splitlines() if line and not line.startswith("#")}


def test_what_is_noted_is_what_openssl_notes(
    gtunnel: Tunnels,
    pki: Pki,
    server: Callable[..., Server],
    free_port: Callable[[], int],
    tmp_path: Path,
    tls_version: str,
) -> None:
    ours, theirs, port = tmp_path / "ours", tmp_path / "theirs", free_port()
    running = gtunnel(
        f"workers = 2\n[it]\naccept = 127.0.0.1:{port}\nconnect = {server(backend('inside')).endpoint}\n"
        f"cert = {pki.server.cert}\nkey = {pki.server.key}\nkeylog = {ours}\n"
    )
    assert ours.stat().st_mode & 0o777 == 0o600
    running.wait_for(f"the keys of all connections are written to {ours}")
    only = f"-tls{tls_version.replace('.', '_')}"
    for _ in range(4):
        assert visit(port, only, "-keylogfile", str(theirs)).reached == "inside"
    assert secrets(theirs)
    assert secrets(theirs) <= secrets(ours)
    running.send(signal.SIGHUP)
    running.wait_for("Accepting new connections", times=2)
    assert visit(port, only, "-keylogfile", str(theirs)).reached == "inside"
    assert secrets(theirs) <= secrets(ours)
    # The log itself has none of them.
    for line in secrets(ours):
        assert line.split()[2] not in running.output.lower()
