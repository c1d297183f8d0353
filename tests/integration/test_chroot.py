"""Inside a real jail: names, TCP wrappers, reloads and commands still work, and only what is inside counts."""

import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.certificates import Pki
from tests.support.servers import Server
from tests.support.tunnels import Tunnels
from tests.support.visits import backend

pytestmark = pytest.mark.root


class Jail:
    """A directory with what docs/install.md says a jail needs, and no more."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        directory.mkdir()
        (directory / "etc").mkdir()
        (directory / "etc/nsswitch.conf").write_text("hosts: files\n")
        (directory / "etc/hosts").write_text("127.0.0.1 inside.example.org\n")
        (directory / "etc/passwd").write_text("daemon:x:1:1::/:/bin/false\n")
        (directory / "etc/group").write_text("daemon:x:1:\n")
        (directory / "etc/hosts.allow").write_text("")
        (directory / "etc/hosts.deny").write_text("")
        directory.chmod(0o755)

    def take(self, file: Path) -> None:
        """Put a file there by the name that it has outside."""
        inside = self.path / file.relative_to("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        inside.write_bytes(file.read_bytes())
        inside.chmod(0o644)


def says(port: int, pki: Pki) -> bytes:
    """What the service behind a port says first; nothing if it lets nobody in."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            return client.recv(100)
    except OSError:
        return b""


def test_all_that_has_to_work_works(
    gtunnel: Tunnels, pki: Pki, server: Callable[..., Server], free_port: Callable[[], int], tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    jail = Jail(tmp_path / "jail")
    port, other = free_port(), free_port()
    target = server(backend("inside")).endpoint.rpartition(":")[2]
    preamble = (
        f"foreground = yes\npid = /it.pid\nsyslog = yes\ndebug = debug\nchroot = {jail.path}\nsetuid = daemon\n"
        f"control = {tmp_path}/control\n"
    )
    identity = f"cert = {pki.server.cert}\nkey = {pki.server.key}\n"
    common = f"connect = inside.example.org:{target}\ndelay = yes\nlibwrap = yes\n{identity}"
    running = gtunnel(f"[it]\naccept = 127.0.0.1:{port}\n{common}", preamble=preamble)
    # The name is known in the jail only; libwrap's files are those of the jail.
    assert says(port, pki) == b"reached:inside\n"
    (jail.path / "etc/hosts.deny").write_text("ALL: ALL\n")
    assert says(port, pki) == b""
    (jail.path / "etc/hosts.deny").write_text("")
    assert (jail.path / "it.pid").read_text().strip() == str(running.pid)
    # A reload reads what is inside, where there is nothing yet.
    file = Path(running.argv[-1])
    running.send(signal.SIGHUP)
    running.wait_for("Failed to reload the configuration file")
    running.wait_for("inside of the chroot")
    assert says(port, pki) == b"reached:inside\n"
    file.write_text(f"{preamble}[it]\naccept = 127.0.0.1:{other}\n{common}")
    for path in (file, Path(pki.server.cert), Path(pki.server.key)):
        jail.take(path)
    done = gtunnel.run("reload", "--wait", file)
    assert done.returncode == 0, done.stderr
    assert says(other, pki) == b"reached:inside\n"
    assert says(port, pki) == b""
