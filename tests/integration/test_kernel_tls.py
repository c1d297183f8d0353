"""`options = ENABLE_KTLS`: said at each start and reload where the kernel has no TLS, and bulk data arrives either way.

What a kernel that has it does is looked at by vagrant/ktls.py; where this one has it, it is in the way here as well.
"""

import signal
from collections.abc import Callable
from pathlib import Path

from gtunnel.net import kerneltls
from gtunnel.tunnel.takeover import BULKY_BYTES
from tests.support import tls
from tests.support.certificates import Pki
from tests.support.servers import Server, echo
from tests.support.tunnels import Tunnels

DATA = bytes(range(256)) * (8 * BULKY_BYTES // 256)


def exchange(port: int) -> bytes:
    """Send much, and take what comes back of it."""
    with tls.connect(port) as peer:
        got: list[bytes] = []
        for start in range(0, len(DATA), 1 << 16):
            peer.send(DATA[start : start + (1 << 16)])
            got.append(peer.receive_exactly(1 << 16))
        peer.close_notify()
        return b"".join(got) + peer.receive_all()


def test_bulk_data_arrives_and_what_the_kernel_lacks_is_told_at_start_and_reload(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int]
) -> None:
    port = free_port()
    running = gtunnel(
        f"workers = 1\n[it]\naccept = 127.0.0.1:{port}\nconnect = {server(echo).endpoint}\n"
        f"cert = {pki.server.cert}\nkey = {pki.server.key}\noptions = ENABLE_KTLS\n"
    )
    why = kerneltls.refusal()
    told = f"Service [it]: options = ENABLE_KTLS: {why}: TLS stays in user space"
    assert (told in running.output) is bool(why)
    assert exchange(port) == DATA
    if not why:
        running.wait_for("TLS is the kernel's from here on, both ways")
    running.send(signal.SIGHUP)
    running.wait_for("Accepting new connections", times=2)
    if why:
        running.wait_for(told, times=2)
    assert exchange(port) == DATA


def test_no_secret_is_logged(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], tmp_path: Path
) -> None:
    """With `keylog` beside it, which has them all."""
    port, keys = free_port(), tmp_path / "keys"
    running = gtunnel(
        f"workers = 1\n[it]\naccept = 127.0.0.1:{port}\nconnect = {server(echo).endpoint}\n"
        f"cert = {pki.server.cert}\nkey = {pki.server.key}\noptions = ENABLE_KTLS\nkeylog = {keys}\n"
    )
    assert exchange(port) == DATA
    running.wait_for("Connection closed")
    secrets = [line.split()[2] for line in keys.read_text().splitlines() if line and not line.startswith("#")]
    assert secrets
    assert not any(secret.lower() in running.output.lower() for secret in secrets)
