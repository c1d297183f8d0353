"""The manual's EXAMPLES of a mail server and its clients, as they stand there, but for ports and files.

Those of programs, of inetd mode and of the SOCKS VPN are in modules of their own.
"""

import imaplib
import ssl
from collections.abc import Callable, Iterator

import pytest

from tests.support.certificates import Pki
from tests.support.mail import PASSWORD, USER, MailHost, mail_host
from tests.support.tunnels import Tunnels


@pytest.fixture(scope="module")
def imapd() -> Iterator[MailHost]:
    """Dovecot, which knows nothing of TLS: "your local imapd service"."""
    with mail_host() as host:
        yield host


def log_in(client: imaplib.IMAP4) -> None:
    """Log in, look into the inbox, log out."""
    client.login(USER, PASSWORD)
    assert client.select("INBOX")[0] == "OK"
    assert client.logout()[0] == "BYE"


@pytest.mark.parametrize("kind", ["gtunnel", "stunnel4"])
def test_tls_for_an_imapd_in_remote_mode(
    request: pytest.FixtureRequest, kind: str, imapd: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    tunnels: Tunnels = request.getfixturevalue(kind)
    port = free_port()
    tunnels(f"[imapd]\naccept = {port}\nconnect = {imapd.imap}\ncert = {pki.server.pem}\n")
    log_in(imaplib.IMAP4_SSL("localhost", port, ssl_context=ssl.create_default_context(cafile=str(pki.ca))))


@pytest.mark.parametrize(("near", "far"), [("gtunnel", "stunnel4"), ("stunnel4", "gtunnel"), ("gtunnel", "gtunnel")])
def test_a_local_mail_client_reaches_a_tls_server(
    request: pytest.FixtureRequest, near: str, far: str, imapd: MailHost, pki: Pki, free_port: Callable[[], int]
) -> None:
    ours: Tunnels = request.getfixturevalue(near)
    theirs: Tunnels = request.getfixturevalue(far)
    local, servername = free_port(), free_port()
    theirs(f"[imapd]\naccept = {servername}\nconnect = {imapd.imap}\ncert = {pki.server.pem}\n")
    ours(f"[imap]\nclient = yes\naccept = {local}\nconnect = localhost:{servername}\n")
    log_in(imaplib.IMAP4("localhost", local))
