"""The manual's examples with programs: an IMAP server that inetd would start, and a program that wants a terminal."""

import imaplib
import os
import pwd
import shutil
import ssl
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import needs, superservers
from tests.support.certificates import Pki
from tests.support.tls import TlsPeer, client_context, connect
from tests.support.tunnels import GTUNNEL, GTUNNEL_ENVIRONMENT, Tunnels

FreePort = Callable[[], int]
IMAP = Path("/usr/lib/dovecot/imap")


@pytest.fixture
def imapd() -> Iterator[Path]:
    """Dovecot's imap as a program for inetd: already logged in, as the one user that there is."""
    if not IMAP.exists():
        pytest.skip("dovecot-imapd is not installed")
    # It must not be root's: it would take itself for a login server that somebody has started by mistake.
    user, become = pwd.getpwuid(os.getuid()).pw_name, ""
    if needs.is_root():
        user, become = "nobody", "setpriv --reuid=nobody --regid=nogroup --clear-groups"
    # Nobody but its owner gets into pytest's own directories.
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for path in (directory, directory / "run", directory / "mail"):
            path.mkdir(exist_ok=True)
            shutil.chown(path, user)
        configuration = directory / "dovecot.conf"
        configuration.write_text(
            f"base_dir = {directory}/run\nlog_path = {directory}/log\nmail_location = maildir:{directory}/mail\n"
            "ssl = no\nprotocols = imap\n"
        )
        script = directory / "imapd"
        script.write_text(f'#!/bin/sh\nUSER={user} HOME={directory} exec {become} {IMAP} -c {configuration} "$@"\n')
        script.chmod(0o755)
        yield script


def read_mail(port: int, pki: Pki) -> None:
    """Log out of a mailbox after having looked into it."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT if hasattr(ssl, "VERIFY_X509_STRICT") else context.verify_flags
    with imaplib.IMAP4_SSL("localhost", port, ssl_context=context, timeout=15) as mailbox:
        assert mailbox.state == "AUTH"
        assert mailbox.select("INBOX")[0] == "OK"
        assert mailbox.append("INBOX", None, None, b"Subject: hello\r\n\r\nworld\r\n" * 2000)[0] == "OK"
        assert mailbox.search(None, "ALL") == ("OK", [b"1"])


def test_imapd_in_a_section(tunnel: Tunnels, pki: Pki, free_port: FreePort, imapd: Path) -> None:
    port = free_port()
    tunnel(f"[imapd]\naccept = 127.0.0.1:{port}\nexec = {imapd}\nexecArgs = imapd\ncert = {pki.server.pem}\n")
    read_mail(port, pki)


def test_imapd_by_inetd(
    request: pytest.FixtureRequest, pki: Pki, free_port: FreePort, imapd: Path, tmp_path: Path
) -> None:
    port = free_port()
    file = tmp_path / "imapd.conf"
    file.write_text(f"syslog = no\ncert = {pki.server.pem}\nexec = {imapd}\nexecArgs = imapd\n")
    environment = (f"{name}={value}" for name, value in GTUNNEL_ENVIRONMENT.items())
    daemon = superservers.systemd(tmp_path, ["/usr/bin/env", *environment, *GTUNNEL, str(file)], port)
    request.addfinalizer(daemon.kill)
    read_mail(port, pki)


def read_until(peer: TlsPeer, text: bytes) -> bytes:
    found = b""
    while text not in found:
        more = peer.receive()
        assert more, found
        found += more
    return found


def test_a_program_on_a_terminal(gtunnel: Tunnels, pki: Pki, free_port: FreePort) -> None:
    """The manual's pppd, imitated with what is on every machine: a shell that is asked for its terminal."""
    port = free_port()
    gtunnel(
        f"[vpn]\naccept = 127.0.0.1:{port}\nexec = /bin/sh\nexecArgs = sh\npty = yes\ncert = {pki.server.pem}\n"
    )
    with connect(port, client_context(str(pki.ca))) as peer:
        # What is typed is echoed, so the words that are waited for are not typed as they are.
        peer.send(b"tty; stty -a | grep -c -e -opost; echo do''ne\n")
        said = read_until(peer, b"done\n")
        assert b"\n/dev/pts/" in said
        assert b"\n1\n" in said
        peer.send(b"exit\n")
        peer.receive_all()


def test_a_terminal_of_ours_has_job_control(gtunnel: Tunnels, pki: Pki, free_port: FreePort) -> None:
    """An interactive shell says so if it has none, as behind stunnel."""
    port = free_port()
    gtunnel(
        f"[vpn]\naccept = 127.0.0.1:{port}\nexec = /bin/sh\nexecArgs = sh -i\npty = yes\ncert = {pki.server.pem}\n"
    )
    with connect(port, client_context(str(pki.ca))) as peer:
        peer.send(b"PS1=; sleep 1 & jobs; wait; echo re''ady\n")
        said = read_until(peer, b"ready\n")
        assert b"Running" in said
        assert b"job control" not in said
        # The end of input is typed, and ends the shell.
        peer.close_notify()
        peer.receive_all()
