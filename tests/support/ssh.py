"""OpenSSH as processes of the test: a server with keys of its own on a loopback port, and a client that trusts it."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import needs
from tests.support.daemon import PATIENCE, Daemon
from tests.support.ports import wait_for_port

# Where sshd locks its unprivileged part up. It insists on this directory when root starts it.
_PRIVSEP = Path("/run/sshd")


@dataclass(frozen=True, slots=True)
class Ssh:
    """A running server, and how to log in there."""

    port: int
    key: Path
    known_hosts: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the client with these arguments; the server's key is known as that of gate.example.org."""
        options = (
            *(
                "BatchMode=yes",
                "IdentitiesOnly=yes",
                "StrictHostKeyChecking=yes",
                f"UserKnownHostsFile={self.known_hosts}",
            ),
            *("GlobalKnownHostsFile=/dev/null", "LogLevel=ERROR"),
        )
        argv = [needs.program("ssh"), "-i", str(self.key), "-l", pwd.getpwuid(os.geteuid()).pw_name]
        for option in options:
            argv += ["-o", option]
        return subprocess.run([*argv, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)


@contextmanager
def sshd(directory: Path, port: int) -> Iterator[Ssh]:
    """Run sshd, which lets the test's own user in."""
    directory.mkdir(parents=True, exist_ok=True)
    host_key, key = directory / "host", directory / "me"
    for path in (host_key, key):
        argv = [needs.program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(argv, check=True, timeout=PATIENCE)
    (directory / "authorized").write_bytes(key.with_suffix(".pub").read_bytes())
    known_hosts = directory / "known"
    known_hosts.write_text(f"gate.example.org {host_key.with_suffix('.pub').read_text()}")
    lines = [
        *(f"ListenAddress 127.0.0.1:{port}", f"HostKey {host_key}", f"AuthorizedKeysFile {directory}/authorized"),
        *(
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "PidFile none",
        ),
    ]
    conf = directory / "sshd.conf"
    conf.write_text("\n".join(lines) + "\n")
    made = needs.is_root() and not _PRIVSEP.exists()
    if made:
        _PRIVSEP.mkdir(mode=0o755)
    daemon = Daemon([needs.program("sshd"), "-D", "-e", "-f", conf])
    try:
        wait_for_port(port)
        yield Ssh(port, key, known_hosts)
    finally:
        daemon.kill()
        if made:
            _PRIVSEP.rmdir()
